import { setTimeout as sleep } from 'node:timers/promises';
import { CoatError } from './errors.ts';

/**
 * Asks again and again until the answer is neither `undefined` nor `false`, and returns it.
 * For conditions nobody announces: a socket file, a kernel state, a process that ends.
 *
 * @param what completes the sentence "gave up waiting for …"
 * @throws CoatError `timeout` after `timeout` ms, with the last error as its cause
 */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  { timeout = 10_000, every = 20, signal }: { timeout?: number; every?: number; signal?: AbortSignal } = {},
): Promise<Exclude<T, undefined | false>> {
  const deadline = Date.now() + timeout;
  let last: unknown;
  for (;;) {
    signal?.throwIfAborted();
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new CoatError('timeout', `gave up waiting for ${what} after ${timeout} ms`, { cause: last });
    await sleep(every);
  }
}
