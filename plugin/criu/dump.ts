import { mkdir, readFile, writeFile, unlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoatError, codeOf, explain } from '../../driver/host/errors.ts';
import { until } from '../../driver/host/until.ts';
import type { RunningContainer } from './container.ts';
import { dumpActions, writeActions } from './actions.ts';
import { dumpers, isEnding, kill, lifeOf } from './ending.ts';
import type { HostSide } from './host.ts';
import { lastErrors } from './log.ts';
import { outliving } from './outliving.ts';
import { Pipes } from './pipes.ts';
import type { Criu } from './program.ts';
import { criuOnPath } from './wrapper.ts';

/** What `runc checkpoint` and `runc restore` are both told. */
export const sharedFlags = ['--tcp-established', '--file-locks'] as const;

/** What both are told besides, where the memory comes later. */
export const LAZY_FLAG = '--lazy-pages';
/** CRIU's standard input, which is /dev/null. */
const NO_PAGE_SERVER = 'ps-socket 0\n';
/**
 * How much of files that have lost their names, and that processes hold open, goes into the images, bytes (criu(8), `--ghost-limit`, whose
 * own default is 1 MiB). For these images there is room of twice as much.
 */
export const GHOSTS = 256 << 20;

/** See actions.ts and wrapper.ts. */
const PIPES = ['go', 'tars'] as const;
/** How long runc may take to get as far as CRIU, and CRIU to load, ms. */
const START_MS = 10_000;
/** How long CRIU may take over a dump, ms. It ends by itself long before where it fails. */
const DUMP_MS = 3_600_000;
/** How often it is looked whether the container is still there to be dumped, and how long a CRIU may go on that has lost it, ms. */
const LOOK_MS = 250;
const LOST_MS = 2_000;

/** A dump that only waits for the word. */
export interface ArmedDump {
  /**
   * Dumps a frozen container into `<directory>/images`. When this returns the images are whole; CRIU may not have let go of the
   * processes yet. They stay frozen whatever comes out.
   *
   * @throws CoatError `dump-failed` with CRIU's own words
   */
  fire(): Promise<void>;
  /** The dump will not be needed, or is over. Waits until nothing of it is left. */
  disarm(): Promise<void>;
}

/**
 * Takes a dump as far as it goes while the container still runs: `runc checkpoint` is started, and CRIU has loaded and
 * waits ({@link dumpActions}).
 *
 * CRIU's options that runc has no flags for go into `.criu/default.conf` of a home directory made for this one dump
 * (criu(8), configuration files), so that nothing of the host's own configuration is touched: no network lock, as frames are
 * kept away by the overlay.
 *
 * CRIU runs in the container's own network namespace and so takes it for the host's, which it leaves alone. Otherwise it reads
 * the kernel's whole table of connections twice, even for a namespace declared external (criu/net.c, dump_nf_ct): 27 ms of
 * 80 here.
 *
 * A lazy dump writes all but the anonymous memory, which stays where it is: in the frozen processes, out of which it can be
 * read for as long as they stand still. CRIU would keep it in pipes and serve it from there, so that its end would be the end of the
 * pages; it is given a page server's socket that is none, with which it has nothing to serve and ends (criu/cr-dump.c,
 * cr_lazy_mem_dump). By then the images are whole and CRIU is out of the processes; that it takes its dump for failed does not
 * matter.
 *
 * @param directory on the host, in memory
 */
export async function armDump(host: HostSide, criu: Criu, container: RunningContainer, directory: string, { lazy }: { lazy: boolean }): Promise<ArmedDump> {
  await mkdir(host.path(`${directory}/home/.criu`), { recursive: true });
  await mkdir(host.path(`${directory}/images`));
  await mkdir(host.path(`${directory}/work`));
  const pipes = await Pipes.make(host, directory, PIPES);
  await writeFile(host.path(`${directory}/home/.criu/default.conf`), `network-lock skip\nghost-limit ${GHOSTS}\n${lazy ? NO_PAGE_SERVER : ''}${await writeActions(host, directory, dumpActions)}`);
  const path = await criuOnPath(host, directory, criu);
  const checkpoint = ['runc', `--root=${container.runcRoot}`, 'checkpoint', '--leave-running', ...sharedFlags, ...(lazy ? [LAZY_FLAG] : []), `--image-path=${directory}/images`, `--work-path=${directory}/work`, container.id];
  const ended = host.run(outliving(checkpoint), { netns: `/proc/${container.pid}/ns/net`, env: { PATH: path, HOME: `${directory}/home` } });
  const early = ended.then(() => Promise.reject(new Error('runc ended too early')));
  early.catch(() => undefined);
  const failed = async (cause: unknown): Promise<CoatError> => {
    const log = await readFile(host.path(`${directory}/work/dump.log`), 'utf8').catch(() => '');
    return new CoatError('dump-failed', `CRIU could not dump the container: ${lastErrors(log) || explain(cause)}`, {
      hint: 'the container goes on at the source; docs/limits.md lists what CRIU cannot dump',
      cause,
    });
  };
  let armed = true;
  let goesOn = true;
  const finished = ended.then(() => undefined, () => undefined).finally(() => (goesOn = false));
  const over = async (): Promise<void> => {
    if (armed) pipes.tell('go', 'stop');
    armed = false;
    await finished;
    pipes.close();
  };
  let disarmed: Promise<void> | undefined;
  const disarm = (): Promise<void> => (disarmed ??= over());
  const heard = (event: string, patience: number): Promise<string> =>
    pipes.heard(event, patience, early).catch(async (cause: unknown) => {
      throw await failed(cause);
    });
  await heard('waits', START_MS).catch(async (error: unknown) => {
    await disarm();
    throw error;
  });
  return {
    async fire() {
      armed = false;
      pipes.tell('go', 'go');
      void endWith(host, container, directory, () => goesOn);
      await heard('dumped', DUMP_MS);
    },
    disarm,
  };
}

/**
 * Ends a dump whose container is killed under it. CRIU may wait for ever then: for a process that was to stop and has died, or that is
 * frozen again and dies only as it thaws. In what is dead it can leave nothing behind.
 */
async function endWith(host: HostSide, container: RunningContainer, directory: string, goesOn: () => boolean): Promise<void> {
  const life = lifeOf(host, container.pid);
  for (let lost = 0; goesOn(); await sleep(LOOK_MS)) {
    lost = life === undefined || isEnding(host, life) ? lost + LOOK_MS : 0;
    if (lost > LOST_MS) for (const pid of await dumpers(host, directory)) kill(pid);
  }
}

/** What runc writes before it starts CRIU: which of the container's stdio are pipes of whom. `runc restore` wants it as early. */
export const DESCRIPTORS = 'descriptors.json';

/** Ends a dump into `directory` that an earlier life of this agent armed; one that has begun is waited for. @throws CoatError `timeout` */
export async function endDump(host: HostSide, container: RunningContainer, directory: string): Promise<void> {
  let goesOn = true;
  void endWith(host, container, directory, () => goesOn);
  try {
    await until(
      'an earlier dump to end',
      async () => {
        hangUp(host, directory);
        return (await dumpers(host, directory)).length === 0;
      },
      { timeout: 120_000, every: 100 },
    );
  } finally {
    goesOn = false;
  }
}

/**
 * Ends what a dump waits for in its pipes, now and each time it is called: a script that opens one after the agent has died waits for somebody who
 * writes, and what was written while nobody held a pipe is gone.
 */
function hangUp(host: HostSide, directory: string): void {
  const pipes = openPipes(host, directory);
  pipes?.tell('go', 'stop');
  pipes?.close();
}

function openPipes(host: HostSide, directory: string): Pipes<(typeof PIPES)[number]> | undefined {
  try {
    return Pipes.open(host, directory, PIPES);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    return undefined;
  }
}

/** runc leaves this mark beside its state; a container that was not taken away must not keep it. */
export async function forgetDump(host: HostSide, container: RunningContainer): Promise<void> {
  await unlink(host.path(`${container.runcRoot}/${container.id}/checkpoint`)).catch(() => undefined);
}
