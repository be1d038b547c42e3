import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { spawn } from 'node:child_process';
import { CoatError } from '../../driver/host/errors.ts';
import { readIfThere } from '../../driver/host/files.ts';
import { until } from '../../driver/host/until.ts';
import type { HostSide } from '../criu/host.ts';
import { outliving } from '../criu/outliving.ts';
import { FILES } from './files.ts';

/** Beside the agent's own program, see image/build.ts. */
const PROGRAM = join(dirname(process.argv[1] ?? ''), 'pager.cjs');
/** How long it may take to start, or to end, ms. */
const START_MS = 10_000;
const END_MS = 10_000;

/**
 * Starts what brings the memory of a container that is restored without it: `pager/main.ts`, a process of its own. A restore in this
 * directory finds it when this returns.
 *
 * @param directory of the restore, on the host, with `work` in it
 * @throws CoatError `pager`
 */
export async function startPager(host: HostSide, directory: string, containerId: string): Promise<void> {
  const root = host.path('');
  const [file, ...args] = outliving([process.execPath, PROGRAM, root, directory, containerId], root);
  spawn(file, args, { detached: true, stdio: 'ignore' }).unref();
  const is = async (name: string): Promise<boolean> => (await readIfThere(host.path(`${directory}/${name}`))) !== undefined;
  await until('the pager to begin', async () => (await is(FILES.ready)) || (await is(FILES.outcome)), { timeout: START_MS, every: 5 });
  const why = await pagesOutcome(host, directory);
  if (why !== undefined) throw new CoatError('pager', `what brings memory could not be started: ${why}`);
}

/** Whether all memory is on this host, and the source is needed no more. */
export const pagesHere = (host: HostSide, directory: string): boolean => existsSync(host.path(`${directory}/${FILES.here}`));

/** Waits until the container may run, as no page is missing that it has to wait for. */
export async function pagesGo(host: HostSide, directory: string, timeout: number): Promise<void> {
  await until('the rest of the memory', () => existsSync(host.path(`${directory}/${FILES.go}`)) || pagerPid(host, directory) === undefined, { timeout, every: 1 });
}

/** `whole`, or `lost` and why; nothing while pages are missing. A directory that is gone has no outcome. */
export async function pagesOutcome(host: HostSide, directory: string): Promise<string | undefined> {
  return readIfThere(host.path(`${directory}/${FILES.outcome}`));
}

/** Whether there is a pager that works for this directory. */
export const pagerAlive = (host: HostSide, directory: string): boolean => pagerPid(host, directory) !== undefined;

/** Where it takes connections, for this process. */
export const pagerSocket = (host: HostSide, directory: string): string => host.path(`${directory}/${FILES.socket}`);

/** Ends the container, if it has begun, and the pager, and waits for its end. May be called by whoever has not started it; none is fine. */
export async function giveUpPages(host: HostSide, directory: string, why: string): Promise<void> {
  const pid = pagerPid(host, directory);
  if (pid === undefined) return;
  await writeFile(host.path(`${directory}/${FILES.why}`), why);
  process.kill(pid, 'SIGTERM');
  await until('the pager to end', () => pagerPid(host, directory) === undefined, { timeout: END_MS, every: 5 });
}

function pagerPid(host: HostSide, directory: string): number | undefined {
  try {
    const pid = Number(readFileSync(host.path(`${directory}/${FILES.pid}`), 'utf8'));
    return readFileSync(host.path(`/proc/${pid}/cmdline`), 'utf8').includes(directory) ? pid : undefined;
  } catch {
    return undefined;
  }
}
