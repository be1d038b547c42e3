import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Build } from './build.ts';
import { cached } from './cached.ts';
import { cacheKey, WORKLOADS_RECIPE } from './recipes.ts';
import { rootfs } from './rootfs.ts';

/** The image with the servers and clients that examples, tests and measurements run. */
export const WORKLOADS = 'coat-lab/workloads:latest';

export interface ImageArchive {
  /** A file for `docker load`. */
  path: string;
  /** The image's ID, the same in every engine that loads it: the digest of its configuration. */
  id: string;
}

/** The workload image as an archive, from the cache or built now. */
export async function workloads(build: Build): Promise<ImageArchive> {
  const place = await cached('workloads', cacheKey(WORKLOADS_RECIPE), build, async (directory) => {
    const root = await rootfs('workloads-root', WORKLOADS_RECIPE, build);
    build.tell(`packing the image ${WORKLOADS}`);
    const draft = await mkdtemp(join(directory, 'archive-'));
    await build.run(['tar', '--create', '--numeric-owner', '--sort=name', '--exclude=./dev/*', '--file', join(draft, 'layer.tar'), '--directory', root, '.']);
    const config = imageConfig(await digest(join(draft, 'layer.tar')), await postgresVersion(root));
    const id = createHash('sha256').update(config).digest('hex');
    await writeFile(join(draft, `${id}.json`), config);
    await writeFile(join(draft, 'manifest.json'), JSON.stringify([{ Config: `${id}.json`, RepoTags: [WORKLOADS], Layers: ['layer.tar'] }]));
    await build.run(['tar', '--create', '--file', join(directory, 'image.tar'), '--directory', draft, 'manifest.json', `${id}.json`, 'layer.tar']);
    await writeFile(join(directory, 'id'), id);
    await rm(draft, { recursive: true });
  });
  return { path: join(place, 'image.tar'), id: await readFile(join(place, 'id'), 'utf8') };
}

/** An image configuration as the OCI image specification has it; nothing in it depends on the time. */
export function imageConfig(layerDigest: string, postgres: string): string {
  const created = '2025-01-01T00:00:00Z';
  const path = `/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/${postgres}/bin`;
  return JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    created,
    config: { Env: [`PATH=${path}`, 'LANG=C.UTF-8'], Cmd: ['bash'], WorkingDir: '/' },
    rootfs: { type: 'layers', diff_ids: [`sha256:${layerDigest}`] },
    history: [{ created, created_by: 'coat lab: Debian packages' }],
  });
}

async function postgresVersion(root: string): Promise<string> {
  return (await readdir(join(root, 'usr/lib/postgresql')))[0] ?? '';
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
