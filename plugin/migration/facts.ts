import { readdir, readFile, readlink } from 'node:fs/promises';
import { explain } from '../../driver/host/errors.ts';
import { run } from '../../driver/host/run.ts';
import type { RunningContainer } from '../criu/container.ts';
import type { HostSide } from '../criu/host.ts';
import type { MoverDependencies } from './ports.ts';

/** The version of the CRIU that a move from or to this host would use. */
export async function criuFacts(criu: MoverDependencies['criu']): Promise<{ version: string } | { problem: string }> {
  return criu.find().catch((error: unknown) => ({ problem: explain(error) }));
}

/** Open files that CRIU has no image for, as /proc names them (proc_pid_fd(5)). */
const UNDUMPABLE: readonly [RegExp, string][] = [
  [/^anon_inode:\[io_uring\]/, 'io_uring'],
  [/^anon_inode:\[?bpf/, 'BPF programs or maps'],
  [/^anon_inode:\[?perf_event/, 'perf events'],
  [/^anon_inode:kvm/, 'KVM'],
  [/^\/dev\/(kvm|nvidia|dri|fuse|vfio|infiniband)/, 'a device'],
];

/** What of the container's open files cannot be dumped, each named once. */
export async function undumpable(host: HostSide, pids: readonly number[]): Promise<string[]> {
  const found = new Set<string>();
  for (const pid of pids) {
    const directory = host.path(`/proc/${pid}/fd`);
    for (const fd of await readdir(directory).catch(() => [])) {
      const target = await readlink(`${directory}/${fd}`).catch(() => '');
      for (const [pattern, name] of UNDUMPABLE) if (pattern.test(target)) found.add(name);
    }
  }
  return [...found];
}

/** CAP_SYS_RESOURCE, linux/capability.h. */
const CAP_SYS_RESOURCE = 1n << 24n;

/**
 * Whether CRIU may read the limits of all these processes: of those of another user than root only with CAP_SYS_RESOURCE
 * (prlimit(2)), which some virtual machines' root lacks.
 */
export async function limitsReadable(host: HostSide, pids: readonly number[]): Promise<boolean> {
  const status = async (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
  const able = BigInt(`0x${/^CapBnd:\s+(\w+)/m.exec(await status('/proc/self/status'))?.[1] ?? '0'}`) & CAP_SYS_RESOURCE;
  if (able) return true;
  const users = await Promise.all(pids.map(async (pid) => /^Uid:\s+(.*)$/m.exec(await status(host.path(`/proc/${pid}/status`)))?.[1] ?? ''));
  return users.every((ids) => ids.split(/\s+/).every((id) => id === '0' || id === ''));
}

/**
 * Whether a process is stopped (SIGSTOP, as by Ctrl-Z) where the freezer is that of cgroup v1. One that is frozen as well never comes to where
 * ptrace(2) waits for it (kernel/ptrace.c, ptrace_attach, JOBCTL_TRAPPING), and CRIU would wait for ever. A first thread speaks for all.
 */
export async function stopped(host: HostSide, { freezer }: RunningContainer, pids: readonly number[]): Promise<boolean> {
  if (freezer.version !== 1) return false;
  const states = await Promise.all(pids.map(async (pid) => /^State:\s+(\S)/m.exec(await readFile(host.path(`/proc/${pid}/status`), 'utf8').catch(() => ''))?.[1]));
  return states.includes('T');
}

/** Resident memory of processes, bytes, shared pages counted once for each (proc_pid_status(5), VmRSS). */
export const residentMemory = (host: HostSide, pids: readonly number[]): Promise<number> => sumOf(host, pids, 'VmRSS');

async function sumOf(host: HostSide, pids: readonly number[], field: string): Promise<number> {
  const pattern = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm');
  const sizes = await Promise.all(
    pids.map(async (pid) => {
      const status = await readFile(host.path(`/proc/${pid}/status`), 'utf8').catch(() => '');
      return Number(pattern.exec(status)?.[1] ?? 0) * 1024;
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** What of that is anonymous memory, bytes: what a lazy dump leaves where it is (proc_pid_status(5), RssAnon). */
export const anonymousMemory = (host: HostSide, pids: readonly number[]): Promise<number> => sumOf(host, pids, 'RssAnon');

/** The name of each IPv4 address's interface inside a container. */
export async function interfaceNames(host: HostSide, pid: number): Promise<Map<string, string>> {
  // the plugin's own ip(8): a host may have none
  const { stdout } = await run(['nsenter', `--net=${host.path(`/proc/${pid}/ns/net`)}`, '--', 'ip', '-json', '-4', 'address', 'show']);
  const links = JSON.parse(stdout) as { ifname: string; addr_info: { local?: string }[] }[];
  return new Map(links.flatMap((link) => link.addr_info.flatMap(({ local }) => (local ? [[local, link.ifname] as const] : []))));
}
