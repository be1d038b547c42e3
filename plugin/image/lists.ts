import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A line for each entry; `#` begins a comment. */
async function read(name: string): Promise<string[]> {
  const text = await readFile(join(import.meta.dirname, name), 'utf8');
  return text.split('\n').map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
}

/** Debian packages of the plugin's root file system. */
export const packages = (): Promise<string[]> => read('packages');

/** Shell patterns, relative to the root, of what is removed from it at the end. */
export const leftOut = (): Promise<string[]> => read('left-out');
