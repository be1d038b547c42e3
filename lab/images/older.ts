import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FileLock } from '../lock.ts';
import { CACHE } from '../places.ts';
import { allRecords } from '../record.ts';
import { removeTree } from '../tree.ts';

/**
 * Removes what the cache has under this label with another key: made from a recipe that has changed
 * since, or a draft of that. Kept: what a lab's hosts stand on, and what another process is just
 * making or using.
 */
export async function removeOlder(label: string, key: string): Promise<void> {
  const used = new Set((await allRecords()).flatMap((record) => Object.values(record.roots)).map((root) => entryOf(root)));
  for (const name of olderNames(await readdir(CACHE), label, key)) {
    if (used.has(name)) continue;
    const lock = await FileLock.tryTake(join(CACHE, `${name}.lock`), 'exclusive');
    if (lock === undefined) continue;
    for (const path of [name, `${name}.draft`]) await removeTree(join(CACHE, path));
    await lock.remove();
  }
}

/** The names, each once, that `entries` of the cache have under this label with other keys. */
export function olderNames(entries: readonly string[], label: string, key: string): string[] {
  const names = entries.map((entry) => /^(.*)-([0-9a-f]{12})(?:\.draft|\.lock)?$/.exec(entry)).filter((match) => match?.[1] === label && match[2] !== key);
  return [...new Set(names.map((match) => `${match![1]}-${match![2]}`))];
}

/** The cache's entry that a root file system (`<entry>/rootfs`) is part of. */
const entryOf = (root: string): string => basename(join(root, '..'));
