import { createReadStream } from 'node:fs';
import { once } from 'node:events';
import { CoatError } from '../../driver/host/errors.ts';
import { run } from '../../driver/host/run.ts';
import { until } from '../../driver/host/until.ts';
import { boot } from '../boot.ts';
import { makeDisk } from '../disk.ts';
import { allDone } from '../done.ts';
import { LabHost } from '../host.ts';
import { killGroup, makeHostCgroups, removeGroup } from '../kernel/cgroups.ts';
import { addNetns } from '../kernel/underlay.ts';
import { labPlaces, netnsName, SEED_HOST } from '../places.ts';
import { STORES, type Engine, type LabSpec, type Store } from '../spec.ts';
import { removeTree } from '../tree.ts';
import type { Build } from './build.ts';
import { ENGINE_RECIPES } from './recipes.ts';
import { rootfs } from './rootfs.ts';
import { seed } from './seed.ts';
import { workloads } from './workloads.ts';

/** What hosts of one engine generation are made from. */
export interface EngineImages {
  /** Root file system, never written to. */
  lower: string;
  /** What a host begins with, by where its engine keeps images (see seed.ts). */
  seeds: Partial<Record<Store, string>>;
}

/** Debian packages that hosts of a generation have beside those that all have. */
export type MorePackages = Partial<Record<Engine, readonly string[]>>;

/**
 * Everything the hosts of a lab are made from; builds what the cache does not have.
 *
 * @param build in the cgroups of the seed's host
 */
export async function makeImages(spec: LabSpec, build: Build, more: MorePackages = {}): Promise<Map<Engine, EngineImages>> {
  const engines = [...new Set(spec.hosts.map((host) => host.engine))];
  // at once: each of them waits for the network half of its time
  const [image, ...lowers] = await allDone([workloads(build), ...engines.map((engine) => engineRoot(engine, build))] as const);
  const images = new Map<Engine, EngineImages>();
  for (const [i, engine] of engines.entries()) {
    const lower = lowers[i]!;
    const seeds: EngineImages['seeds'] = {};
    for (const store of STORES) {
      if (!spec.hosts.some((host) => host.engine === engine && host.store === store)) continue;
      seeds[store] = await seed(engine, store, lower, image.id, build, () => loadOnce(spec, engine, store, lower, image.path, build));
    }
    images.set(engine, { lower: await withMore(engine, lower, more[engine] ?? [], build), seeds });
  }
  await removeTree(labPlaces(spec.name).host(SEED_HOST));
  await removeGroup(spec.name, SEED_HOST);
  return images;
}

/** The root file system of an engine generation's hosts. */
export const engineRoot = (engine: Engine, build: Build): Promise<string> => rootfs(`engine-${engine}`, ENGINE_RECIPES[engine], build);

/** Under a label of its own, so that neither takes the other's place in the cache. What the engines begin with is that of the plain one. */
async function withMore(engine: Engine, plain: string, packages: readonly string[], build: Build): Promise<string> {
  if (packages.length === 0) return plain;
  const recipe = ENGINE_RECIPES[engine];
  return rootfs(`engine-${engine}-more`, { ...recipe, packages: [...recipe.packages, ...packages] }, build);
}

/** Boots a host without a seed, loads the image, shuts down, and returns the host's disk. */
async function loadOnce(spec: LabSpec, engine: Engine, store: Store, lower: string, archive: string, build: Build): Promise<string> {
  const disk = labPlaces(spec.name).host(SEED_HOST);
  await removeTree(disk);
  await makeDisk(spec, SEED_HOST, store, build);
  await addNetns(netnsName(spec.name, SEED_HOST));
  await boot(spec, SEED_HOST, lower, build.signal);
  const host = new LabHost(spec.name, { name: SEED_HOST, address: '127.0.0.1', engine, store }, await makeHostCgroups(spec.name, SEED_HOST));
  await load(host, archive, build.signal);
  process.kill(host.pid, 'SIGTERM');
  await until('the engine to shut down', () => !host.running, { timeout: 60_000, ...(build.signal && { signal: build.signal }) });
  await killGroup(spec.name, SEED_HOST);
  await run(['ip', 'netns', 'delete', netnsName(spec.name, SEED_HOST)]);
  return disk;
}

async function load(host: LabHost, archive: string, signal: AbortSignal | undefined): Promise<void> {
  const child = host.spawn(['docker', 'load', '--quiet'], { stdio: ['pipe', 'ignore', 'inherit'], signal });
  // an engine that refuses says so with its exit code, not only by closing the pipe
  child.stdin!.on('error', () => undefined);
  createReadStream(archive).pipe(child.stdin!);
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new CoatError('lab-image', `engine ${host.engine} did not load the workload image: docker load ended with ${code}`);
}
