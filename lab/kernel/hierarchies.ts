import { readFile } from 'node:fs/promises';

/** One mounted cgroup hierarchy of this machine. */
export interface Hierarchy {
  version: 1 | 2;
  /** Where it is mounted. */
  path: string;
  /** For version 1: the mount options that mean this hierarchy (`cpu,cpuacct`, `none,name=systemd`). */
  options: string;
}

/** The hierarchies in the text of /proc/self/mountinfo (proc_pid_mountinfo(5)); each one once. */
export function parseHierarchies(mountinfo: string): Hierarchy[] {
  const found = new Map<string, Hierarchy>();
  for (const line of mountinfo.split('\n')) {
    const [before, after] = line.split(' - ');
    const path = before?.split(' ')[4];
    const [type, , superOptions] = after?.split(' ') ?? [];
    if (path === undefined || superOptions === undefined) continue;
    if (type === 'cgroup2' && !found.has('2')) found.set('2', { version: 2, path, options: '' });
    if (type !== 'cgroup') continue;
    const options = superOptions.split(',').filter((option) => !['rw', 'ro', 'xattr', 'clone_children', 'release_agent'].includes(option.split('=')[0]!));
    const name = options.find((option) => option.startsWith('name='));
    const key = name === undefined ? options.join(',') : `none,${name}`;
    if (key !== '' && !found.has(key)) found.set(key, { version: 1, path, options: key });
  }
  return [...found.values()];
}

export async function hierarchies(): Promise<Hierarchy[]> {
  return parseHierarchies(await readFile('/proc/self/mountinfo', 'utf8'));
}
