import { rm } from 'node:fs/promises';
import { CoatError } from '../../driver/host/errors.ts';

/** Removes paths below `root`, whatever they are. Paths that could climb out are refused. */
export async function removeBelow(root: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    if (path.startsWith('/') || path.split('/').includes('..')) throw new CoatError('bad-transfer', `the path ${path} leads out of the container`);
    await rm(`${root}/${path}`, { recursive: true, force: true });
  }
}
