import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, explain } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';

/** What happens within this, ms, is looked at together. */
const GATHER_MS = 50;
/** Everything is looked at this often even if nothing has been heard, ms. */
const EVERY_MS = 30_000;
/** After a failure, ms. */
const RETRY_MS = 2_000;

/** Errors that only mean "later". */
const LATER = new Set(['store-away', 'engine-away', 'conflict']);

/**
 * Runs a task soon after it is asked for, never twice at a time, and again after a failure.
 *
 * INVARIANT: after the last {@link Keeper.poke} there is at least one run that began later than it.
 */
export class Keeper {
  readonly #task: () => Promise<void>;
  readonly #log: Log;
  readonly #stop = new AbortController();
  #poked = true;
  #wake: () => void = () => undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(task: () => Promise<void>, log: Log) {
    this.#task = task;
    this.#log = log;
  }

  start(): void {
    this.#ended = this.#loop();
  }

  /** Something may have changed. */
  poke(): void {
    this.#poked = true;
    this.#wake();
  }

  /** Waits for a run under way. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    await this.#ended;
  }

  async #loop(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      if (!this.#poked) await this.#rest(EVERY_MS);
      await this.#rest(GATHER_MS, false);
      if (this.#stop.signal.aborted) return;
      this.#poked = false;
      await this.#task().catch(async (error: unknown) => {
        const later = LATER.has(codeOf(error) ?? '');
        this.#log[later ? 'debug' : 'error']({ err: error, reason: explain(error) }, 'networks: not now');
        await this.#rest(RETRY_MS, false);
        this.#poked = true;
      });
    }
  }

  /** @param wakes whether a poke ends the rest */
  async #rest(ms: number, wakes = true): Promise<void> {
    const end = new AbortController();
    this.#wake = () => {
      if (wakes || this.#stop.signal.aborted) end.abort();
    };
    await sleep(ms, undefined, { signal: end.signal }).catch(() => undefined);
  }
}
