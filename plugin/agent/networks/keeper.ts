import { setTimeout as sleep } from 'node:timers/promises';
import { CoatError, codeOf, explain } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';

/** What happens within this, ms, is looked at together. */
const GATHER_MS = 50;
/** Everything is looked at this often even if nothing has been heard, ms. */
const EVERY_MS = 30_000;
/** After a failure, ms. */
const RETRY_MS = 2_000;

/** Errors that only mean "later". */
const LATER = new Set(['store-away', 'engine-away', 'conflict']);

/** What a task throws that did what it could: the rest is tried again, after twice as long each time, or when something happens. */
export class StepsLeft extends CoatError {
  constructor(steps: readonly string[]) {
    super('steps-left', `still to do: ${steps.join(', ')}`);
  }
}

/**
 * Runs a task soon after it is asked for, never twice at a time, and again after a failure.
 *
 * INVARIANT: after the last {@link Keeper.poke} there is at least one run that began later than it.
 */
export class Keeper {
  readonly #task: () => Promise<void>;
  readonly #log: Log;
  readonly #retry: number;
  readonly #stop = new AbortController();
  #poked = true;
  #wake: () => void = () => undefined;
  #ended: Promise<void> = Promise.resolve();

  /** @param retry how long what was left has to wait the first time, ms */
  constructor(task: () => Promise<void>, log: Log, retry = RETRY_MS) {
    this.#task = task;
    this.#log = log;
    this.#retry = retry;
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
    let inARow = 0;
    while (!this.#stop.signal.aborted) {
      if (!this.#poked) await this.#rest(EVERY_MS);
      await this.#rest(GATHER_MS, false);
      if (this.#stop.signal.aborted) return;
      this.#poked = false;
      try {
        await this.#task();
        inARow = 0;
      } catch (error) {
        await this.#failed(error, inARow);
        inARow += 1;
        this.#poked = true;
      }
    }
  }

  async #failed(error: unknown, inARow: number): Promise<void> {
    const goesOn = error instanceof StepsLeft;
    const later = goesOn || LATER.has(codeOf(error) ?? '');
    this.#log[later ? 'debug' : 'error']({ err: error, reason: explain(error) }, 'networks: not now');
    if (!goesOn) await this.#rest(RETRY_MS, false);
    else if (!this.#poked) await this.#rest(Math.min(this.#retry * 2 ** inARow, EVERY_MS));
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
