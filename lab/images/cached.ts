import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfThere, writeAtomic } from '../../driver/host/files.ts';
import { run } from '../../driver/host/run.ts';
import { FileLock } from '../lock.ts';
import { CACHE } from '../places.ts';
import { removeTree } from '../tree.ts';
import type { Build } from './build.ts';
import { removeOlder } from './older.ts';

const STAMP = 'complete';

/** What this process has taken from the cache, with the shared lock that keeps others from removing it. */
const taken = new Map<string, FileLock>();

/**
 * A directory of the cache, made when it is not there or not whole; then those made of older content
 * go. It is made under another name and renamed when everything in it is on the disk; without its
 * stamp it counts as broken. Of several who want the same one, the first makes it and the others wait.
 *
 * @param label says what it is
 * @param key of what content exactly
 * @param make fills the empty directory it is given
 */
export async function cached(label: string, key: string, build: Build, make: (directory: string) => Promise<void>): Promise<string> {
  const name = `${label}-${key}`;
  const place = join(CACHE, name);
  const whole = async (): Promise<boolean> => (await readIfThere(join(place, STAMP))) === name;
  if (taken.has(name) && (await whole())) return place;

  const options = {
    what: `a lab that builds ${name}`,
    waiting: (holder: string): void => build.tell(`waiting for ${holder}`),
    signal: build.signal,
  };
  const sharing = await FileLock.take(`${place}.lock`, 'shared', options);
  if (await whole()) return keep(name, sharing, place);
  await sharing.release();

  const lock = await FileLock.take(`${place}.lock`, 'exclusive', options);
  try {
    if (!(await whole())) {
      await fill(name, place, make);
      await removeOlder(label, key);
    }
    await lock.share();
  } catch (error) {
    await lock.release();
    throw error;
  }
  return keep(name, lock, place);
}

async function keep(name: string, lock: FileLock, place: string): Promise<string> {
  await taken.get(name)?.release();
  taken.set(name, lock);
  return place;
}

/** Who has the lock knows that a draft which is there already has lost its maker. */
async function fill(name: string, place: string, make: (directory: string) => Promise<void>): Promise<void> {
  const draft = `${place}.draft`;
  await removeTree(draft);
  await mkdir(draft);
  try {
    await make(draft);
    await run(['sync', '--file-system', draft]);
    await writeAtomic(join(draft, STAMP), name);
    await removeTree(place);
    await rename(draft, place);
  } finally {
    await removeTree(draft);
  }
}
