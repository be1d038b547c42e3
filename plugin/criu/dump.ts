import { mkdir, readdir, readFile, stat, writeFile, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CoatError } from '../../driver/host/errors.ts';
import { until } from '../../driver/host/until.ts';
import type { RunningContainer } from './container.ts';
import type { HostSide } from './host.ts';
import { lastErrors } from './log.ts';

/** What `runc checkpoint` and `runc restore` are both told. */
export const sharedFlags = ['--tcp-established', '--file-locks'] as const;

/**
 * Prepares everything a dump needs, so that inside the blackout only one program is started.
 *
 * CRIU's options that runc has no flags for go into `.criu/default.conf` of a home directory made for this one
 * dump (criu(8), configuration files), so that nothing of the host's own configuration is touched:
 * no network lock, as frames are kept away by the overlay; and the network namespace as external, as the
 * destination has one ready.
 *
 * @param directory on the host, in memory
 */
export async function prepareDump(host: HostSide, container: RunningContainer, directory: string): Promise<void> {
  await mkdir(host.path(`${directory}/home/.criu`), { recursive: true });
  await mkdir(host.path(`${directory}/images`));
  await mkdir(host.path(`${directory}/work`));
  const namespace = await stat(host.path(`/proc/${container.pid}/ns/net`));
  await writeFile(
    host.path(`${directory}/home/.criu/default.conf`),
    ['network-lock skip', ...(container.netnsPath ? [] : [`external net[${namespace.ino}]:extRootNetNS`]), ''].join('\n'),
  );
  if (container.netnsPath) await nameNamespace(host, container.pid, container.netnsPath);
}

/**
 * runc insists on the path it was once told for the namespace, and makes it external by itself then; the name is gone
 * since the container arrived, so it gets it back for the time of the dump.
 */
async function nameNamespace(host: HostSide, pid: number, path: string): Promise<void> {
  await mkdir(host.path(dirname(path)), { recursive: true });
  await writeFile(host.path(path), '', { flag: 'a' });
  await host.run(['mount', '--bind', `/proc/${pid}/ns/net`, path]);
}

/** Undoes what {@link prepareDump} did outside of its directory. */
export async function cleanUpDump(host: HostSide, { netnsPath }: Pick<RunningContainer, 'netnsPath'>): Promise<void> {
  if (netnsPath === undefined) return;
  // 32: not mounted, umount(8)
  await host.run(['umount', '--lazy', '--quiet', netnsPath], { okCodes: [0, 1, 32] });
  await unlink(host.path(netnsPath)).catch(() => undefined);
}

/** A dump that only waits for the word: its program is started already. */
export interface ArmedDump {
  /**
   * Dumps a frozen container into `<directory>/images`; it stays frozen whatever comes out.
   *
   * @throws CoatError `dump-failed` with CRIU's own words
   */
  fire(): Promise<void>;
  /** The dump will not be needed. After {@link ArmedDump.fire} it does nothing. */
  disarm(): void;
}

/**
 * Leaves the plugin's cgroups, waits for the word, and becomes the dump. When the agent dies, containerd kills all that is in
 * the plugin's cgroups, and a CRIU killed in the middle leaves its victim with foreign code inside; so it must outlive us.
 */
const WAITING_DUMP = `
leave() { echo $$ >"$1/cgroup.procs"; }
if [ -e /sys/fs/cgroup/cgroup.procs ]; then leave /sys/fs/cgroup; else for hierarchy in /sys/fs/cgroup/*; do leave "$hierarchy"; done; fi 2>/dev/null
read -r word && exec "$@"`;

/** Starts all that can be started before the freeze: to start a program from here costs as much as a tenth of a small dump. */
export function armDump(host: HostSide, container: RunningContainer, directory: string): ArmedDump {
  let tell: (word: string) => void;
  const word = new Promise<string>((resolve) => (tell = resolve));
  const checkpoint = ['runc', `--root=${container.runcRoot}`, 'checkpoint', '--leave-running', ...sharedFlags, `--image-path=${directory}/images`, `--work-path=${directory}/work`, container.id];
  const ended = host.run(['sh', '-c', WAITING_DUMP, 'sh', ...checkpoint], { input: word, env: { PATH: HOST_PATH, HOME: `${directory}/home` } });
  ended.catch(() => undefined);
  return {
    async fire() {
      tell('go\n');
      try {
        await ended;
      } catch (cause) {
        const log = await readFile(host.path(`${directory}/work/dump.log`), 'utf8').catch(() => '');
        throw new CoatError('dump-failed', `CRIU could not dump the container: ${lastErrors(log) || 'see the cause'}`, {
          hint: 'the container goes on at the source; docs/limits.md lists what CRIU cannot dump',
          cause,
        });
      }
    },
    disarm: () => tell(''),
  };
}

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

/** Where the host's programs are; the plugin's own PATH need not be the host's. */
export const HOST_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
