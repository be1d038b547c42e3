import type Docker from 'dockerode';
import { chmod, lstat } from 'node:fs/promises';
import { CoatError, codeOf } from '../../driver/host/errors.ts';
import { readIfThere, removeIfThere, writeAtomic } from '../../driver/host/files.ts';
import type { Log } from '../../driver/host/log.ts';
import { until } from '../../driver/host/until.ts';
import type { HostSide } from '../criu/host.ts';
import { aboutEngine } from '../engine/about.ts';
import { engineProcess } from '../engine/process.ts';
import type { Setup } from './api.ts';
import type { Paths } from './paths.ts';
import { namingRuntimes, type Registration, RUNTIME, settingsFile, withoutRuntime, withRuntime } from './registration.ts';

/** How long the engine may take to read its settings anew, ms. */
const RELOAD_MS = 10_000;

export interface SetupDependencies {
  host: HostSide;
  docker: Docker;
  paths: Paths;
  log: Log;
}

/**
 * What has to be changed in the engine's settings so that it knows coat-runc, and back.
 *
 * @throws CoatError `daemon-json`, `daemon-flags`, `engine-away`
 */
export async function lookAtSetup(deps: SetupDependencies, undo = false): Promise<Setup> {
  const file = settingsFile((await engineProcess(deps.host)).argv);
  const before = await readIfThere(deps.host.path(file));
  const { coatRuncOnHost } = deps.paths;
  const after = undo ? withoutRuntime(before, coatRuncOnHost, await readRecord(deps, file)) : withRuntime(before, coatRuncOnHost);
  return { file, ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) };
}

/**
 * Registers coat-runc with the engine: its settings file, a signal to read it anew, and a look whether it did. No container
 * is touched. What the file was is remembered, for {@link unregisterRuntime}.
 *
 * @throws CoatError those of {@link lookAtSetup}, and `not-reloaded`; the file is then as it was
 */
export async function registerRuntime(deps: SetupDependencies): Promise<Setup> {
  const setup = await lookAtSetup(deps);
  if (setup.before !== setup.after) {
    await writeAtomic(deps.paths.registration, JSON.stringify(setup));
    await write(deps, setup.file, setup.after);
  }
  try {
    await reload(deps, true);
  } catch (error) {
    if (setup.before !== setup.after) {
      await write(deps, setup.file, setup.before);
      await removeIfThere(deps.paths.registration);
    }
    throw error;
  }
  deps.log.info({ file: setup.file }, 'the engine knows the runtime coat');
  return setup;
}

/** Takes back what {@link registerRuntime} did, and only that. Fine where there is nothing to take back. */
export async function unregisterRuntime(deps: SetupDependencies): Promise<Setup> {
  const setup = await lookAtSetup(deps, true);
  if (setup.before !== setup.after) {
    await write(deps, setup.file, namingRuntimes(setup.after));
    await reload(deps, false);
    await write(deps, setup.file, setup.after);
    deps.log.info({ file: setup.file }, 'the engine has forgotten the runtime coat');
  }
  await removeIfThere(deps.paths.registration);
  return setup;
}

async function reload({ host, docker }: SetupDependencies, known: boolean): Promise<void> {
  const { pid } = await engineProcess(host);
  const shows = async (): Promise<boolean> => (await aboutEngine(docker)).runtimes.includes(RUNTIME) === known;
  if (await shows()) return;
  await host.run(['sh', '-c', 'kill -HUP "$1"', 'sh', String(pid)]);
  try {
    await until('the engine to read its settings anew', shows, { timeout: RELOAD_MS, every: 100 });
  } catch (cause) {
    throw new CoatError('not-reloaded', 'the engine did not take its changed settings', { hint: 'its log says why (journalctl -u docker)', cause });
  }
}

/** With the mode it had; no content: no file. @throws CoatError `daemon-json` for a symbolic link, which a rename would replace */
async function write({ host }: SetupDependencies, file: string, content: string | undefined): Promise<void> {
  const path = host.path(file);
  if (content === undefined) return removeIfThere(path);
  const there = await lstat(path).catch((error: unknown) => {
    if (codeOf(error) !== 'ENOENT') throw error;
  });
  if (there?.isSymbolicLink()) throw new CoatError('daemon-json', `${file} is a symbolic link`, { hint: `add the runtime ${RUNTIME} to it by hand: docs/install.md` });
  await writeAtomic(path, content, 0o644);
  if (there) await chmod(path, there.mode & 0o777);
}

async function readRecord({ paths }: SetupDependencies, file: string): Promise<Registration | undefined> {
  const text = await readIfThere(paths.registration);
  const record = text === undefined ? undefined : (JSON.parse(text) as Setup);
  return record?.file === file ? { before: record.before, after: record.after } : undefined;
}
