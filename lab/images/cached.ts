import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfThere, writeAtomic } from '../../driver/host/files.ts';
import { KeyedQueue } from '../../driver/host/queue.ts';
import { run } from '../../driver/host/run.ts';
import { FileLock } from '../lock.ts';
import { CACHE } from '../places.ts';
import { removeTree } from '../tree.ts';
import type { Build } from './build.ts';
import { removeOlder } from './older.ts';

const STAMP = 'complete';

/** Within this process, which needs no lock against itself. */
const queue = new KeyedQueue();

/** What this process has taken from the cache, with the shared lock that keeps others from removing it (see older.ts). */
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
export function cached(label: string, key: string, build: Build, make: (directory: string) => Promise<void>): Promise<string> {
  const name = `${label}-${key}`;
  const place = join(CACHE, name);
  return queue.run(name, async () => {
    const whole = async (): Promise<boolean> => (await readIfThere(join(place, STAMP))) === name;
    if (taken.has(name) && (await whole())) return place;
    await taken.get(name)?.release();
    taken.delete(name);
    taken.set(name, await FileLock.take(`${place}.used`, 'shared'));
    if (await whole()) return place;

    const what = `a lab that builds ${name}`;
    await using _lock = await FileLock.take(`${place}.lock`, 'exclusive', { what, waiting: (holder) => build.tell(`waiting for ${holder}`), signal: build.signal });
    if (await whole()) return place;
    await fill(name, place, make);
    await removeOlder(label, key);
    return place;
  });
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
