import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Store } from '../spec.ts';
import type { Build } from './build.ts';
import { cached } from './cached.ts';
import { cacheKey } from './recipes.ts';

/** The part of a host's disk that has the images, and what of it: networks, volumes and the engine's identity must be each host's own. */
const PARTS: Record<Store, { of: string; parts: readonly string[] }> = {
  overlay2: { of: 'docker', parts: ['image', 'overlay2'] },
  containerd: { of: 'containerd', parts: ['io.containerd.content.v1.content', 'io.containerd.metadata.v1.bolt', 'io.containerd.snapshotter.v1.overlayfs'] },
};

/**
 * What every new host begins with: the workload image, as this engine unpacked it.
 * Loading it takes an engine many seconds; copying the result takes a fraction of one.
 *
 * @param rootfsPath the engine's root file system: its path names its content
 * @param load boots an engine of this generation, loads the image, shuts the engine down in order,
 *   and returns the host's disk
 */
export async function seed(engine: number, store: Store, rootfsPath: string, imageId: string, build: Build, load: () => Promise<string>): Promise<string> {
  const { of, parts } = PARTS[store];
  const label = store === 'overlay2' ? `seed-${engine}` : `seed-${engine}-${store}`;
  const place = await cached(label, cacheKey(rootfsPath, imageId), build, async (directory) => {
    build.tell(`loading the workload image into engine ${engine} (${store}), once`);
    const disk = await load();
    const target = join(directory, of);
    await mkdir(target);
    for (const part of parts) await build.run(['cp', '--archive', join(disk, of, part), target]);
  });
  return join(place, of);
}

/**
 * Fills a new host's disk from a seed. Files of image layers are shared by hard links, as
 * engines never write to them (a container's overlay copies a file before it changes it);
 * everything else is a copy of its own. Where cache and labs are on different file systems, all is.
 */
export async function plant(store: Store, seedPath: string, disk: string, build: Build): Promise<void> {
  const data = join(disk, PARTS[store].of);
  const copy = (from: string, to: string, ...how: string[]): Promise<unknown> => build.run(['cp', '--archive', ...how, from, to]);
  const sharing = (await stat(seedPath)).dev === (await stat(data)).dev ? '--link' : '--reflink=auto';
  if (store === 'containerd') {
    const [content, metadata, layers] = PARTS.containerd.parts as [string, string, string];
    await copy(join(seedPath, content), data, sharing);
    await copy(join(seedPath, metadata), data);
    await mkdir(join(data, layers), { mode: 0o700 });
    await copy(join(seedPath, layers, 'metadata.db'), join(data, layers));
    await copy(join(seedPath, layers, 'snapshots'), join(data, layers), sharing);
    return;
  }
  const layers = join(seedPath, 'overlay2');
  await copy(join(seedPath, 'image'), data);
  await mkdir(join(data, 'overlay2'), { mode: 0o710 });
  for (const layer of await readdir(layers)) {
    const target = join(data, 'overlay2', layer);
    if (layer === 'l') {
      await copy(join(layers, layer), target);
      continue;
    }
    await mkdir(target, { mode: 0o710 });
    for (const part of await readdir(join(layers, layer))) await copy(join(layers, layer, part), target, ...(part === 'diff' ? [sharing] : []));
  }
}
