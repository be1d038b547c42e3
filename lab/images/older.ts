import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
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
  const roots = [...(await allRecords()).flatMap((record) => Object.values(record.roots)), ...(await mountedRoots())];
  const used = new Set(roots.map((root) => basename(dirname(root))));
  for (const name of olderNames(await readdir(CACHE), label, key)) {
    if (used.has(name)) continue;
    // asked for, never waited for: who uses it may do so for long
    const locks = [await FileLock.tryTake(join(CACHE, `${name}.used`), 'exclusive'), await FileLock.tryTake(join(CACHE, `${name}.lock`), 'exclusive')];
    if (locks.includes(undefined)) {
      for (const lock of locks) await lock?.release();
      continue;
    }
    for (const path of [name, `${name}.draft`]) await removeTree(join(CACHE, path));
    for (const lock of locks) await lock?.remove();
  }
}

/** The names, each once, that `entries` of the cache have under this label with other keys. */
export function olderNames(entries: readonly string[], label: string, key: string): string[] {
  const names = entries.map((entry) => /^(.*)-([0-9a-f]{12})(?:\.draft|\.lock|\.used)?$/.exec(entry)).filter((match) => match?.[1] === label && match[2] !== key);
  return [...new Set(names.map((match) => `${match![1]}-${match![2]}`))];
}

/** The lower directories of every overlay that some process sees: also of labs whose records are kept elsewhere. */
async function mountedRoots(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const tables = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '')));
  return tables.flatMap((table) => [...table.matchAll(/[ ,]lowerdir=([^ ,:]+)/g)].map((match) => match[1]!));
}
