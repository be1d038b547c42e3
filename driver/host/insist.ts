import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Does something that must be done in the end: again and again, until it works. For what waits for a store, an engine or a disk that may be away for long.
 *
 * @param every pause after a failure, ms
 * @param failed hears why, each time
 */
export async function insist<T>(work: () => Promise<T>, { every, failed }: { every: number; failed: (error: unknown) => void }): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      failed(error);
    }
    await sleep(every);
  }
}
