import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../driver/host/run.ts';
import { cached } from './cached.ts';
import { cacheKey } from './recipes.ts';
import type { Tell } from './rootfs.ts';

/**
 * What every new host's /var/lib/docker begins with: the workload image, as this engine unpacked it.
 * Loading it takes an engine many seconds; copying the result takes a fraction of one.
 *
 * @param rootfsPath the engine's root file system: its path names its content
 * @param load boots an engine of this generation, loads the image, shuts the engine down in order,
 *   and returns its data directory
 */
export async function seed(engine: number, rootfsPath: string, imageId: string, tell: Tell, load: () => Promise<string>): Promise<string> {
  const place = await cached(`seed-${engine}-${cacheKey(rootfsPath, imageId)}`, async (directory) => {
    tell(`loading the workload image into engine ${engine}, once`);
    const data = await load();
    const target = join(directory, 'docker');
    await mkdir(target);
    // only the images: networks, volumes and the engine's identity must be each host's own
    for (const part of ['image', 'overlay2']) await run(['cp', '--archive', join(data, part), target]);
  });
  return join(place, 'docker');
}

/**
 * Fills a new host's data directory from a seed. Files of image layers are shared by hard links, as
 * engines never write to them (a container's overlay copies a file before it changes it);
 * everything else is a copy of its own.
 */
export async function plant(seedPath: string, data: string): Promise<void> {
  const layers = join(seedPath, 'overlay2');
  await run(['cp', '--archive', join(seedPath, 'image'), data]);
  await mkdir(join(data, 'overlay2'), { mode: 0o710 });
  for (const layer of await readdir(layers)) {
    const target = join(data, 'overlay2', layer);
    if (layer === 'l') await run(['cp', '--archive', join(layers, layer), target]);
    else await plantLayer(join(layers, layer), target);
  }
}

async function plantLayer(layer: string, target: string): Promise<void> {
  await mkdir(target, { mode: 0o710 });
  for (const part of await readdir(layer)) {
    await run(['cp', '--archive', ...(part === 'diff' ? ['--link'] : []), join(layer, part), target]);
  }
}
