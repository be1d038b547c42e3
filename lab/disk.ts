import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Build } from './images/build.ts';
import { plant } from './images/seed.ts';
import { labPlaces } from './places.ts';
import { switchAddress, type LabSpec, type Store } from './spec.ts';

/** What of a host survives its death, below the host's directory (see host/root.sh). */
const PARTS = ['upper', 'work', 'root', 'docker', 'containerd', 'coat', 'log'];

/**
 * Makes a new host's disk.
 *
 * @param seedPath what its images begin with; without it, with none
 */
export async function makeDisk(spec: LabSpec, host: string, store: Store, build: Build, seedPath?: string): Promise<void> {
  const disk = labPlaces(spec.name).host(host);
  for (const part of PARTS) await mkdir(join(disk, part), { recursive: true });
  const etc = join(disk, 'upper', 'etc');
  await mkdir(join(etc, 'docker'), { recursive: true });
  await writeFile(join(etc, 'hostname'), `${host}\n`);
  await writeFile(join(etc, 'hosts'), hostsFile(spec, host));
  await writeFile(join(etc, 'resolv.conf'), resolvConf(spec));
  await writeFile(join(etc, 'docker', 'daemon.json'), `${JSON.stringify(daemonJson(store), null, 2)}\n`);
  if (seedPath !== undefined) await plant(store, seedPath, disk, build);
}

export function hostsFile(spec: LabSpec, host: string): string {
  const lines = ['127.0.0.1 localhost', '::1 localhost', ...spec.hosts.map((each) => `${each.address} ${each.name}`)];
  return [...lines, ...(spec.hosts.some((each) => each.name === host) ? [] : [`127.0.1.1 ${host}`]), ''].join('\n');
}

/** The switch has no name server: it refuses at once, where an address that is away would mean waiting. */
const resolvConf = (spec: LabSpec): string => `nameserver ${switchAddress(spec.subnet)}\noptions timeout:1 attempts:1\n`;

/** `runtimes` must be there from the start: a container made with a runtime needs it at every start. */
export function daemonJson(store: Store = 'overlay2'): object {
  return {
    ...(store === 'overlay2' ? { 'storage-driver': 'overlay2' } : { features: { 'containerd-snapshotter': true } }),
    'exec-opts': ['native.cgroupdriver=cgroupfs'],
    // a registry on a host of the lab speaks plain HTTP
    'insecure-registries': ['10.213.0.0/16'],
    'live-restore': false,
    'log-level': 'info',
    runtimes: { coat: { path: '/var/lib/coat/bin/coat-runc' } },
  };
}
