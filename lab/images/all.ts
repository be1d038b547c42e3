import { createReadStream } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { CoatError } from '../../driver/host/errors.ts';
import { run } from '../../driver/host/run.ts';
import { boot } from '../boot.ts';
import { makeDisk } from '../disk.ts';
import { LabHost } from '../host.ts';
import { killGroup, makeHostCgroups, removeGroup } from '../kernel/cgroups.ts';
import { until } from '../../driver/host/until.ts';
import { addNetns } from '../kernel/underlay.ts';
import { labPlaces, netnsName, SEED_HOST } from '../places.ts';
import type { Engine, LabSpec } from '../spec.ts';
import { ENGINE_RECIPES } from './recipes.ts';
import { rootfs, type Tell, type Wrap } from './rootfs.ts';
import { seed } from './seed.ts';
import { workloads } from './workloads.ts';

/** What hosts of one engine generation are made from. */
export interface EngineImages {
  /** Root file system, never written to. */
  lower: string;
  /** First content of /var/lib/docker. */
  seed: string;
}

/** Everything the hosts of a lab are made from; builds what the cache does not have. */
export async function makeImages(spec: LabSpec, tell: Tell): Promise<Map<Engine, EngineImages>> {
  const cgroups = await makeHostCgroups(spec.name, SEED_HOST);
  const join = [...cgroups.v1, `${cgroups.v2}/boot`].map((group) => `echo 0 > ${group}/cgroup.procs`).join('; ');
  // builders live in the lab's cgroups as well, so that `down` finds them
  const wrap: Wrap = (argv) => ['sh', '-c', `${join}; exec "$@"`, 'coat-lab', ...argv];

  const engines = [...new Set(spec.hosts.map((host) => host.engine))];
  const images = new Map<Engine, EngineImages>();
  const image = await workloads(tell, wrap);
  for (const engine of engines) {
    const lower = await rootfs(`engine-${engine}`, ENGINE_RECIPES[engine], tell, wrap);
    images.set(engine, { lower, seed: await seed(engine, lower, image.id, tell, () => loadOnce(spec, engine, lower, image.path)) });
  }
  await run(['rm', '--recursive', '--force', labPlaces(spec.name).host(SEED_HOST)]);
  await removeGroup(spec.name, SEED_HOST);
  return images;
}

/** Boots a host without a seed, loads the image, shuts down, and returns its Docker data directory. */
async function loadOnce(spec: LabSpec, engine: Engine, lower: string, archive: string): Promise<string> {
  const disk = labPlaces(spec.name).host(SEED_HOST);
  await run(['rm', '--recursive', '--force', disk]);
  await makeDisk(spec, SEED_HOST);
  await addNetns(netnsName(spec.name, SEED_HOST));
  await boot(spec, SEED_HOST, lower);
  const host = new LabHost(spec.name, { name: SEED_HOST, address: '127.0.0.1', engine }, await makeHostCgroups(spec.name, SEED_HOST));
  await load(host, archive);
  process.kill(host.pid, 'SIGTERM');
  await until('the engine to shut down', () => !host.running, { timeout: 60_000 });
  await killGroup(spec.name, SEED_HOST);
  await run(['ip', 'netns', 'delete', netnsName(spec.name, SEED_HOST)]);
  return join(disk, 'docker');
}

async function load(host: LabHost, archive: string): Promise<void> {
  const [file, ...args] = host.command(['docker', 'load', '--quiet']);
  const child = spawn(file, args, { stdio: ['pipe', 'ignore', 'inherit'] });
  createReadStream(archive).pipe(child.stdin);
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new CoatError('lab-image', `engine ${host.engine} did not load the workload image: docker load ended with ${code}`);
}
