import { existsSync } from 'node:fs';
import { CoatError } from '../driver/host/errors.ts';
import { FileLock } from './lock.ts';
import { labPlaces } from './places.ts';

/** Labs that this process has for itself: what it does to one of them meanwhile asks for nothing more. */
const own = new Set<string>();

export interface ClaimOptions {
  /** What is done, for those who wait for it. */
  what: string;
  /** Told for whom we wait, if we do. */
  tell?: (line: string) => void;
  signal?: AbortSignal | undefined;
}

/** Makes or removes a lab: nobody else does anything with it meanwhile. */
export async function alone<T>(name: string, { what, tell, signal }: ClaimOptions, task: () => Promise<T>): Promise<T> {
  const { base, lock: path } = labPlaces(name);
  const lock = await FileLock.take(path, 'exclusive', { what, waiting: (holder) => tell?.(`waiting for ${holder} to end`), signal });
  own.add(name);
  try {
    return await task();
  } finally {
    own.delete(name);
    await (existsSync(base) ? lock.release() : lock.remove());
  }
}

/** Does something with a lab that is there: others may as well, but nobody makes or removes it. */
export async function among<T>(name: string, task: () => Promise<T>): Promise<T> {
  if (own.has(name)) return task();
  await using _lock = await FileLock.take(labPlaces(name).lock, 'shared');
  if (!existsSync(labPlaces(name).record)) throw noLab(name);
  return task();
}

export const noLab = (name: string): CoatError =>
  new CoatError('no-lab', `there is no lab "${name}"`, { hint: `make it: npm run lab -- up --name ${name}` });
