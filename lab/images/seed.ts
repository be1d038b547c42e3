import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Build } from './build.ts';
import { cached } from './cached.ts';
import { cacheKey } from './recipes.ts';

/**
 * What every new host's /var/lib/docker begins with: the workload image, as this engine unpacked it.
 * Loading it takes an engine many seconds; copying the result takes a fraction of one.
 *
 * @param rootfsPath the engine's root file system: its path names its content
 * @param load boots an engine of this generation, loads the image, shuts the engine down in order,
 *   and returns its data directory
 */
export async function seed(engine: number, rootfsPath: string, imageId: string, build: Build, load: () => Promise<string>): Promise<string> {
  const place = await cached(`seed-${engine}`, cacheKey(rootfsPath, imageId), build, async (directory) => {
    build.tell(`loading the workload image into engine ${engine}, once`);
    const data = await load();
    const target = join(directory, 'docker');
    await mkdir(target);
    // only the images: networks, volumes and the engine's identity must be each host's own
    for (const part of ['image', 'overlay2']) await build.run(['cp', '--archive', join(data, part), target]);
  });
  return join(place, 'docker');
}

/**
 * Fills a new host's data directory from a seed. Files of image layers are shared by hard links, as
 * engines never write to them (a container's overlay copies a file before it changes it);
 * everything else is a copy of its own. Where cache and labs are on different file systems, all is.
 */
export async function plant(seedPath: string, data: string, build: Build): Promise<void> {
  const copy = (from: string, to: string, ...how: string[]): Promise<unknown> => build.run(['cp', '--archive', ...how, from, to]);
  const sharing = (await stat(seedPath)).dev === (await stat(data)).dev ? '--link' : '--reflink=auto';
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
