import { access, readFile } from 'node:fs/promises';
import { constants } from 'node:fs';
import { join } from 'node:path';
import { CoatError } from '../driver/host/errors.ts';
import { run } from '../driver/host/run.ts';
import { hierarchies, type Hierarchy } from './kernel/hierarchies.ts';

const SETUP = 'run: sh lab/setup';

/** Programs on the machine, and where they are looked for. */
const PROGRAMS = ['ip', 'tc', 'nft', 'nsenter', 'unshare', 'setpriv', 'flock', 'tar', 'cp', 'mmdebstrap'];

/** Kinds of links the lab or the plugin makes. */
const LINKS = ['bridge', 'veth', 'vxlan'];

/**
 * Finds out whether this machine can have a lab at all.
 *
 * @param cgroup the version asked for, if one was
 * @throws CoatError naming the first thing that is missing, and how to get it
 */
export async function checkNeeds(cgroup?: 1 | 2): Promise<void> {
  if (process.getuid?.() !== 0) throw new CoatError('not-root', 'the lab needs root: it makes namespaces, mounts and network links', { hint: 'run it as root, or with sudo' });
  for (const program of PROGRAMS) {
    if (!(await onPath(program))) throw new CoatError('no-program', `the program ${program} is not installed`, { hint: SETUP });
  }
  for (const kind of ['mnt', 'pid', 'net', 'uts', 'ipc', 'cgroup']) {
    if (!(await there(`/proc/self/ns/${kind}`))) throw missing(`${kind} namespaces`);
  }
  if (!(await there('/proc/sys/kernel/ns_last_pid'))) throw missing('CONFIG_CHECKPOINT_RESTORE');
  await checkOverlay();
  await checkLinks();
  checkCgroup(await hierarchies(), cgroup);
}

/** What this machine's own containers use: version 1 where its controllers are mounted, else 2. */
export function defaultCgroup(all: readonly Hierarchy[]): 1 | 2 {
  return all.some((hierarchy) => hierarchy.version === 1 && hierarchy.options.split(',').includes('devices')) ? 1 : 2;
}

/** @throws CoatError `no-cgroup` */
export function checkCgroup(all: readonly Hierarchy[], wanted: 1 | 2 | undefined): void {
  if (!all.some((hierarchy) => hierarchy.version === 2)) {
    throw new CoatError('no-cgroup', 'no unified cgroup hierarchy is mounted', { hint: 'mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified' });
  }
  if (wanted === 1 && defaultCgroup(all) === 2) {
    throw new CoatError('no-cgroup', 'this machine has no cgroup version 1 controllers', { hint: 'leave out --cgroup, or boot with systemd.unified_cgroup_hierarchy=0' });
  }
}

async function checkOverlay(): Promise<void> {
  const known = async (): Promise<boolean> => (await readFile('/proc/filesystems', 'utf8')).includes('\toverlay\n');
  if (await known()) return;
  await run(['modprobe', 'overlay']).catch(() => undefined);
  if (!(await known())) throw missing('overlayfs');
}

/** Only trying tells: a module may be loaded on demand. */
async function checkLinks(): Promise<void> {
  const tries = LINKS.map((kind) => `ip link add try-${kind} type ${kind}${kind === 'vxlan' ? ' id 1 dstport 4789' : ''} || { echo ${kind}; exit 9; }`);
  const { code, stdout } = await run(['unshare', '--net', 'sh', '-c', tries.join('\n')], { okCodes: [0, 9] });
  if (code === 9) throw missing(`links of type ${stdout.trim()}`);
}

const missing = (feature: string): CoatError =>
  new CoatError('no-kernel-feature', `this kernel has no ${feature}`, { hint: 'use a distribution kernel (Debian 12 or later, Ubuntu 22.04 or later)' });

async function onPath(program: string): Promise<boolean> {
  for (const directory of (process.env['PATH'] ?? '').split(':')) {
    if (await there(join(directory, program), constants.X_OK)) return true;
  }
  return false;
}

async function there(path: string, mode = constants.F_OK): Promise<boolean> {
  return access(path, mode).then(() => true, () => false);
}
