import { readdir, readFile, readlink } from 'node:fs/promises';
import type { HostSide } from '../criu/host.ts';

/** Files that processes hold, by their paths in the container. */
export interface Opened {
  /** Of open files, mapped ones, programs, working directories and bound sockets, with all directories above. */
  held: ReadonlySet<string>;
  /** Mapped for writing and shared: what is written to them shows in no time stamp until the kernel writes it back. */
  written: ReadonlySet<string>;
}

/** How the kernel marks a file that has lost its name (proc_pid_fd(5)). */
const DELETED = / \(deleted\)$/;

export async function openedBy(host: HostSide, pids: readonly number[]): Promise<Opened> {
  const held = new Set<string>();
  const written = new Set<string>();
  const hold = (path: string): void => {
    for (let each = path.replace(DELETED, ''); each.startsWith('/') && each !== '/' && !held.has(each); each = each.slice(0, each.lastIndexOf('/'))) held.add(each);
  };
  await Promise.all(pids.map(async (pid) => {
    const about = host.path(`/proc/${pid}`);
    const fds = await readdir(`${about}/fd`).catch(() => []);
    const links = [`${about}/cwd`, `${about}/exe`, ...fds.map((fd) => `${about}/fd/${fd}`)];
    for (const target of await Promise.all(links.map((link) => readlink(link).catch(() => '')))) hold(target);
    for (const { path, shared } of mappings(await readFile(`${about}/maps`, 'utf8').catch(() => ''))) {
      hold(path);
      if (shared && !DELETED.test(path)) written.add(path);
    }
  }));
  const [first] = pids;
  if (first !== undefined) for (const path of sockets(await readFile(host.path(`/proc/${first}/net/unix`), 'utf8').catch(() => ''))) hold(path);
  return { held, written };
}

/** Files in /proc/pid/maps (proc_pid_maps(5)); `shared`: mapped for writing into the file itself. */
export function mappings(maps: string): { path: string; shared: boolean }[] {
  return maps.split('\n').flatMap((line) => {
    const [, mode, path] = /^\S+ (\S{4}) \S+ \S+ \S+ +(\/.*)$/.exec(line) ?? [];
    // line ends in a name are written as \012
    return mode === undefined || path === undefined ? [] : [{ path: path.replaceAll('\\012', '\n'), shared: mode[1] === 'w' && mode[3] === 's' }];
  });
}

/** Paths in /proc/net/unix (unix(7)). */
function sockets(table: string): string[] {
  return table.split('\n').flatMap((line) => /^\S+: (?:\S+ +){5}\s*\d+ (\/.*)$/.exec(line)?.[1] ?? []);
}
