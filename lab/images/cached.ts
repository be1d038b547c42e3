import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfThere, writeAtomic } from '../../driver/host/files.ts';
import { run } from '../../driver/host/run.ts';
import { CACHE } from '../places.ts';

const STAMP = 'complete';

/**
 * A directory of the cache, made when it is not there or not whole. It is made under another name
 * and renamed when everything in it is on the disk; without its stamp it counts as broken.
 *
 * @param name says what it is and, with a key, of what content exactly
 * @param make fills the empty directory it is given
 */
export async function cached(name: string, make: (directory: string) => Promise<void>): Promise<string> {
  const place = join(CACHE, name);
  if ((await readIfThere(join(place, STAMP))) === name) return place;
  await mkdir(CACHE, { recursive: true });
  await removeDead();
  const draft = join(CACHE, `${name}.draft-${process.pid}`);
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft);
  try {
    await make(draft);
    await run(['sync', '--file-system', draft]);
    await writeAtomic(join(draft, STAMP), name);
    await rm(place, { recursive: true, force: true });
    await rename(draft, place);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return place;
}

/** Drafts whose maker was killed. */
async function removeDead(): Promise<void> {
  for (const entry of await readdir(CACHE)) {
    const pid = /\.draft-(\d+)$/.exec(entry)?.[1];
    if (pid !== undefined && (await readIfThere(`/proc/${pid}/stat`)) === undefined) await rm(join(CACHE, entry), { recursive: true, force: true });
  }
}
