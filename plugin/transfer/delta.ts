import { readdir, rm } from 'node:fs/promises';
import { CoatError } from '../../driver/host/errors.ts';
import type { Difference } from './scan.ts';

/** What goes ahead of the files of a second pass. */
export interface Delta {
  remove: string[];
  /**
   * The names in each changed directory as the container sees it. A directory that was removed and made anew hides what the
   * image has in it; whatever else is found there at the destination must go.
   */
  entries: Record<string, string[]>;
}

/** @param merged the container's root file system at the source */
export async function deltaOf({ remove, directories }: Difference, merged: string): Promise<Delta> {
  const listed = await Promise.all(directories.map(async (path) => [path, await readdir(`${merged}/${path}`)] as const));
  return { remove, entries: Object.fromEntries(listed) };
}

/** Removes what is no longer there. Paths that could climb out are refused. @param merged the container's root file system */
export async function applyRemovals(merged: string, { remove, entries }: Delta): Promise<void> {
  for (const path of [...remove, ...Object.keys(entries)]) {
    if (path.startsWith('/') || path.split('/').includes('..')) throw new CoatError('bad-transfer', `the path ${path} leads out of the container`);
  }
  const away = (path: string): Promise<void> => rm(`${merged}/${path}`, { recursive: true, force: true });
  for (const path of remove) await away(path);
  for (const [path, names] of Object.entries(entries)) {
    const there = await readdir(`${merged}/${path}`).catch(() => []);
    for (const name of there) if (!names.includes(name)) await away(`${path}/${name}`);
  }
}
