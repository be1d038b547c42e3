import { access, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CoatError } from '../../driver/host/errors.ts';
import { run } from '../../driver/host/run.ts';
import { CACHE } from './places.ts';

/** In an executable of Node into which a program can be put (https://nodejs.org/api/single-executable-applications.html). */
export const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/**
 * An executable of Node that can carry a program: the one that runs this; or, where a distribution keeps Node in a library
 * beside it, the same version as npm has it.
 *
 * @param own what runs this
 * @throws CoatError `no-node` where npm does not have it
 */
export async function nodeToCarry(own = process.execPath): Promise<string> {
  if ((await readFile(own)).includes(FUSE)) return own;
  const wanted = `node-linux-${process.arch}@${process.version.slice(1)}`;
  const place = join(CACHE, wanted);
  const program = join(place, 'package/bin/node');
  if (await access(program).then(() => true, () => false)) return program;
  const draft = `${place}.draft-${process.pid}`;
  try {
    await mkdir(draft, { recursive: true });
    await run(['sh', '-c', 'tar -x -z -f "$(npm pack --silent "$1")"', 'sh', wanted], { cwd: draft, timeout: 600_000 });
    await rm(place, { recursive: true, force: true });
    await rename(draft, place);
  } catch (cause) {
    throw new CoatError('no-node', `${own} cannot carry a program, as it keeps Node in a library, and ${wanted} could not be had`, { hint: 'run this with Node as nodejs.org or NodeSource have it', cause });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return program;
}
