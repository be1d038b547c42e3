import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rmdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { codeOf } from '../../driver/host/errors.ts';
import { until } from '../../driver/host/until.ts';
import { hierarchies, type Hierarchy } from './hierarchies.ts';

/**
 * Every process of a lab lives in /coat-lab/<lab>/<host> of every hierarchy, from its first moment:
 * this, and no list of ours, is how `down` and `kill` find what there is to end.
 */
const PARENT = 'coat-lab';

/** A lab's or a host's directory in one hierarchy. */
const groupIn = (hierarchy: Hierarchy, ...names: string[]): string => join(hierarchy.path, PARENT, ...names);

export interface HostCgroups {
  /** The host's directory in each v1 hierarchy. */
  v1: string[];
  /** The host's directory in the unified hierarchy; it has the children `boot` and `init`. */
  v2: string;
  /** For the host's own mounts of the v1 hierarchies: lines "directory options". */
  mounts: string;
}

/** Makes the cgroups of one host; those that exist are fine. */
export async function makeHostCgroups(lab: string, host: string): Promise<HostCgroups> {
  const all = await hierarchies();
  const v1 = all.filter((hierarchy) => hierarchy.version === 1);
  const v2 = all.find((hierarchy) => hierarchy.version === 2)!;
  for (const hierarchy of v1) await makeV1(hierarchy, [lab, host]);
  await makeV2(v2, [lab, host]);
  for (const child of ['boot', 'init']) await mkdir(groupIn(v2, lab, host, child), { recursive: true });
  return {
    v1: v1.map((hierarchy) => groupIn(hierarchy, lab, host)),
    v2: groupIn(v2, lab, host),
    mounts: v1.map((hierarchy) => `${basename(hierarchy.path)} ${hierarchy.options}`).join('\n'),
  };
}

/** A new cpuset takes no process before it was given processors and memory (cpuset(7)). */
async function makeV1(hierarchy: Hierarchy, names: string[]): Promise<void> {
  let parent = hierarchy.path;
  for (const name of [PARENT, ...names]) {
    const group = join(parent, name);
    await mkdir(group, { recursive: true });
    if (hierarchy.options.split(',').includes('cpuset')) {
      for (const file of ['cpuset.cpus', 'cpuset.mems']) await writeFile(join(group, file), await readFile(join(parent, file), 'utf8'));
    }
    parent = group;
  }
}

/** Hands the controllers that the hierarchy has (none on a hybrid machine) down to the host. */
async function makeV2(hierarchy: Hierarchy, names: string[]): Promise<void> {
  let parent = hierarchy.path;
  for (const name of [PARENT, ...names]) {
    const controllers = (await readFile(join(parent, 'cgroup.controllers'), 'utf8')).trim().split(/\s+/).filter(Boolean);
    for (const controller of controllers) {
      // one at a time: a controller that cannot be had (in use by v1, no privilege) costs only itself
      await writeFile(join(parent, 'cgroup.subtree_control'), `+${controller}`).catch(() => undefined);
    }
    parent = join(parent, name);
    await mkdir(parent, { recursive: true });
  }
}

/** Ends every process of a lab, or of one of its hosts, and waits until none is left. */
export async function killGroup(lab: string, host?: string): Promise<void> {
  const groups = (await hierarchies()).map((hierarchy) => groupIn(hierarchy, lab, ...(host === undefined ? [] : [host])));
  await until(`the processes of ${host ?? `lab ${lab}`} to end`, async () => {
    const tree = (await Promise.all(groups.map(subtree))).flat();
    const pids = new Set((await Promise.all(tree.map(pidsIn))).flat());
    for (const pid of pids) killNow(pid);
    // SIGKILL does not reach a task frozen by the v1 freezer before it is thawed
    await Promise.all(tree.map((group) => writeIfThere(join(group, 'freezer.state'), 'THAWED')));
    return pids.size === 0;
  }, { timeout: 60_000 });
}

/** Removes the cgroups of a lab, or of one of its hosts. There must be no processes in them. */
export async function removeGroup(lab: string, host?: string): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    const groups = await subtree(groupIn(hierarchy, lab, ...(host === undefined ? [] : [host])));
    for (const group of groups.reverse()) await until(`${group} to be empty`, () => removed(group), { timeout: 10_000 });
    // the common parent goes with the last lab
    await rmdir(groupIn(hierarchy)).catch(() => undefined);
  }
}

/** Removes the cgroups that a host's engine made for its containers, which are gone with its power. There must be no processes in them. */
export async function removeContainers(lab: string, host: string): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    const groups = (await subtree(groupIn(hierarchy, lab, host))).filter((group) => /\/docker\/[0-9a-f]{64}(\/|$)/.test(group));
    for (const group of groups.reverse()) await until(`${group} to be empty`, () => removed(group), { timeout: 10_000 });
  }
}

/** Process numbers in the cgroup itself, not in its children. */
async function pidsIn(group: string): Promise<number[]> {
  const text = await readFile(join(group, 'cgroup.procs'), 'utf8').catch(() => '');
  return text.split('\n').map(Number).filter((pid) => pid > 0);
}

/** The cgroup and everything below it, parents first; empty where it does not exist. */
async function subtree(group: string): Promise<string[]> {
  if (!existsSync(group)) return [];
  const entries = await readdir(group, { withFileTypes: true }).catch(() => []);
  const below = await Promise.all(entries.filter((entry) => entry.isDirectory()).map((entry) => subtree(join(group, entry.name))));
  return [group, ...below.flat()];
}

/** A process that is just ending keeps its cgroup busy for a moment. */
async function removed(group: string): Promise<boolean> {
  try {
    await rmdir(group);
  } catch (error) {
    if (codeOf(error) === 'EBUSY') return false;
    if (codeOf(error) !== 'ENOENT') throw error;
  }
  return true;
}

async function writeIfThere(path: string, value: string): Promise<void> {
  if (existsSync(path)) await writeFile(path, value).catch(() => undefined);
}

function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended by itself
  }
}
