import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { CoatError } from '../../driver/host/errors.ts';
import type { HostSide } from '../criu/host.ts';

/** The engine's process on this host. */
export interface EngineProcess {
  pid: number;
  argv: string[];
}

/** The oldest engine that was read for what coat needs of it (docs/install.md); see version.ts. */
const OLDEST = 24;

/** @throws CoatError `engine-away` */
export async function engineProcess(host: HostSide): Promise<EngineProcess> {
  try {
    const pid = Number(await readFile(host.path('/run/docker.pid'), 'utf8'));
    const argv = (await readFile(host.path(`/proc/${pid}/cmdline`), 'utf8')).split('\0').slice(0, -1);
    // a pid file may be older than the process that now has its number
    if (basename(argv[0] ?? '') !== 'dockerd') throw new Error(`process ${pid} is ${argv[0]}`);
    return { pid, argv };
  } catch (cause) {
    throw new CoatError('engine-away', 'the process of the Docker Engine cannot be found', { hint: 'it should have its number in /run/docker.pid', cause });
  }
}

/** The engine's version from its program: its API does not answer yet while it starts its plugins. */
export async function engineVersion(host: HostSide): Promise<string> {
  const { pid } = await engineProcess(host);
  const { stdout } = await host.run([`/proc/${pid}/exe`, '--version'], { timeout: 10_000 });
  return /version ([^\s,]+)/.exec(stdout)?.[1] ?? stdout.trim();
}

/** Why COAT does not work with an engine of this version, or nothing. */
export function refusedEngine(version: string): CoatError | undefined {
  const major = Number.parseInt(version, 10);
  if (!(major < OLDEST)) return undefined;
  return new CoatError('old-engine', `Docker ${version} is too old for coat: it is not maintained any more, and nobody has looked at how it starts containers and asks network drivers before ${OLDEST}`, {
    hint: `install Docker ${OLDEST} to 28 on this host`,
  });
}
