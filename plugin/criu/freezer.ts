import { readFile, readdir, writeFile } from 'node:fs/promises';
import { until } from '../../driver/host/until.ts';
import type { RunningContainer } from './container.ts';
import type { HostSide } from './host.ts';

/**
 * Stops and resumes all processes of a container with its cgroup's freezer: kernel
 * Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst and cgroup-v2.rst (cgroup.freeze).
 * Done by hand because `runc pause` costs the start of a program inside the blackout.
 */
export async function freeze(host: HostSide, container: RunningContainer): Promise<void> {
  await set(host, container, true);
  await until('the container to stand still', () => isFrozen(host, container), { timeout: 10_000, every: 1 });
}

/** A container that is gone, or runs already, is fine. */
export async function thaw(host: HostSide, container: RunningContainer): Promise<void> {
  await set(host, container, false).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  });
}

export async function isFrozen(host: HostSide, { freezer }: RunningContainer): Promise<boolean> {
  if (freezer.version === 1) return (await readFile(host.path(`${freezer.path}/freezer.state`), 'utf8')).trim() === 'FROZEN';
  return /^frozen 1$/m.test(await readFile(host.path(`${freezer.path}/cgroup.events`), 'utf8'));
}

/** Every process in the container's cgroup and those below it (a container may make its own). */
export async function processes(host: HostSide, { freezer }: RunningContainer): Promise<number[]> {
  const below = async (path: string): Promise<number[]> => {
    const own = (await readFile(`${path}/cgroup.procs`, 'utf8')).split('\n').filter(Boolean).map(Number);
    const entries = await readdir(path, { withFileTypes: true });
    const nested = await Promise.all(entries.filter((entry) => entry.isDirectory()).map((entry) => below(`${path}/${entry.name}`)));
    return [...own, ...nested.flat()];
  };
  return below(host.path(freezer.path)).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  });
}

async function set(host: HostSide, { freezer }: RunningContainer, frozen: boolean): Promise<void> {
  if (freezer.version === 1) await writeFile(host.path(`${freezer.path}/freezer.state`), frozen ? 'FROZEN' : 'THAWED');
  else await writeFile(host.path(`${freezer.path}/cgroup.freeze`), frozen ? '1' : '0');
}
