import { mkdir, readdir, readFile, writeFile, unlink } from 'node:fs/promises';
import { CoatError, explain } from '../../driver/host/errors.ts';
import { until } from '../../driver/host/until.ts';
import type { RunningContainer } from './container.ts';
import { Gate } from './gate.ts';
import type { HostSide } from './host.ts';
import { lastErrors } from './log.ts';
import type { Criu } from './program.ts';

/** What `runc checkpoint` and `runc restore` are both told. */
export const sharedFlags = ['--tcp-established', '--file-locks'] as const;

/** A dump that only waits for the word. */
export interface ArmedDump {
  /**
   * Dumps a frozen container into `<directory>/images`; it stays frozen whatever comes out.
   *
   * @throws CoatError `dump-failed` with CRIU's own words
   */
  fire(): Promise<void>;
  /** The dump will not be needed, or is over. */
  disarm(): void;
}

/**
 * Leaves the plugin's cgroups before it becomes runc. When the agent dies, containerd kills all that is in the plugin's
 * cgroups, and a CRIU killed in the middle leaves its victim with foreign code inside; so it must outlive us.
 */
const OUTLIVING = `
leave() { echo $$ >"$1/cgroup.procs"; }
if [ -e /sys/fs/cgroup/cgroup.procs ]; then leave /sys/fs/cgroup; else for hierarchy in /sys/fs/cgroup/*; do leave "$hierarchy"; done; fi 2>/dev/null
exec "$@"`;

/**
 * Takes a dump as far as it goes while the container still runs: `runc checkpoint` is started and waits at CRIU's door.
 *
 * CRIU's options that runc has no flags for go into `.criu/default.conf` of a home directory made for this one dump
 * (criu(8), configuration files), so that nothing of the host's own configuration is touched: no network lock, as frames are
 * kept away by the overlay.
 *
 * CRIU runs in the container's own network namespace and so takes it for the host's, which it leaves alone. Otherwise it reads
 * the kernel's whole table of connections twice, even for a namespace declared external (criu/net.c, dump_nf_ct): 27 ms of
 * 80 here.
 *
 * @param directory on the host, in memory
 */
export async function armDump(host: HostSide, criu: Criu, container: RunningContainer, directory: string): Promise<ArmedDump> {
  await mkdir(host.path(`${directory}/home/.criu`), { recursive: true });
  await mkdir(host.path(`${directory}/images`));
  await mkdir(host.path(`${directory}/work`));
  await writeFile(host.path(`${directory}/home/.criu/default.conf`), 'network-lock skip\n');
  const gate = await Gate.make(host, directory, criu);
  const checkpoint = ['runc', `--root=${container.runcRoot}`, 'checkpoint', '--leave-running', ...sharedFlags, `--image-path=${directory}/images`, `--work-path=${directory}/work`, container.id];
  const ended = host.run(['sh', '-c', OUTLIVING, 'sh', ...checkpoint], { netns: `/proc/${container.pid}/ns/net`, env: { PATH: gate.path, HOME: `${directory}/home` } });
  ended.catch(() => undefined);
  const failed = async (cause: unknown): Promise<CoatError> => {
    const log = await readFile(host.path(`${directory}/work/dump.log`), 'utf8').catch(() => '');
    return new CoatError('dump-failed', `CRIU could not dump the container: ${lastErrors(log) || explain(cause)}`, {
      hint: 'the container goes on at the source; docs/limits.md lists what CRIU cannot dump',
      cause,
    });
  };
  try {
    await gate.reached(ended);
  } catch (cause) {
    gate.close();
    throw await failed(cause);
  }
  return {
    async fire() {
      gate.open();
      await ended.catch(async (cause: unknown) => {
        throw await failed(cause);
      });
    },
    disarm: () => gate.close(),
  };
}

/** What runc writes before it starts CRIU: which of the container's stdio are pipes of whom. `runc restore` wants it as early. */
export const DESCRIPTORS = 'descriptors.json';

/** Waits until no dump into `directory` is under way, as one that an earlier life of this agent began. @throws CoatError `timeout` */
export async function dumpEnded(host: HostSide, directory: string): Promise<void> {
  const goesOn = async (pid: string): Promise<boolean> => (await readFile(host.path(`/proc/${pid}/cmdline`), 'utf8').catch(() => '')).includes(`--image-path=${directory}/`);
  await until(
    'an earlier dump to end',
    async () => {
      const pids = (await readdir(host.path('/proc'))).filter((name) => /^\d+$/.test(name));
      return !(await Promise.all(pids.map(goesOn))).includes(true);
    },
    { timeout: 120_000, every: 100 },
  );
}

/** runc leaves this mark beside its state; a container that was not taken away must not keep it. */
export async function forgetDump(host: HostSide, container: RunningContainer): Promise<void> {
  await unlink(host.path(`${container.runcRoot}/${container.id}/checkpoint`)).catch(() => undefined);
}
