import { open, readdir, readFile, rename, mkdir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf } from './errors.ts';

/** Ends the name of what {@link writeAtomic} has not finished. */
const DRAFT = '.new';

/**
 * Replaces a file so that after a crash there is either the old or the new content, never a part:
 * written beside it, flushed, renamed over it, and the directory flushed (rename(2), fsync(2)).
 */
export async function writeAtomic(path: string, content: string, mode = 0o600): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const fresh = `${path}${DRAFT}`;
  const file = await open(fresh, 'w', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
  await syncDirectory(dirname(path));
}

/** Removes what a crash left of {@link writeAtomic} below a directory. Only while nothing is being written there. */
export async function removeDrafts(directory: string): Promise<void> {
  const names = await readdir(directory, { recursive: true }).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  for (const name of names) if (name.endsWith(DRAFT)) await removeIfThere(join(directory, name));
}

/** The file's content, or `undefined` where there is no such file. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Removes a file; one that is not there is fine. */
export async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
