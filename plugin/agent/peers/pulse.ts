import { setTimeout as sleep } from 'node:timers/promises';

/** Between two questions, ms. */
const EVERY_MS = 2_000;
/** A peer that has not answered for this long, ms, is taken for dead. */
const DEAD_MS = 8_000;

/** Something that ends when its peer is dead. */
export interface Ends {
  destroy(error: Error): unknown;
}

/**
 * Tells whether a peer is alive while something depends on it. A host that lost its power ends no
 * connection, and TCP alone gives up on unanswered data only after a quarter of an hour.
 *
 * Asks nothing while nothing is watched.
 */
export class Pulse {
  readonly #ask: () => Promise<unknown>;
  readonly #died: () => Error;
  readonly #watched = new Set<Ends>();
  #beating = false;

  /** @param ask rejects when the peer does not answer in time */
  constructor(ask: () => Promise<unknown>, died: () => Error) {
    this.#ask = ask;
    this.#died = died;
  }

  /** @returns ends the watch */
  watch(what: Ends): () => void {
    this.#watched.add(what);
    if (!this.#beating) void this.#beat();
    return () => void this.#watched.delete(what);
  }

  async #beat(): Promise<void> {
    this.#beating = true;
    let alive = Date.now();
    while (this.#watched.size > 0) {
      await sleep(EVERY_MS, undefined, { ref: false });
      if (this.#watched.size === 0) break;
      const answered = await this.#ask().then(() => true, () => false);
      if (answered) alive = Date.now();
      else if (Date.now() - alive >= DEAD_MS) {
        const dead = [...this.#watched];
        this.#watched.clear();
        for (const what of dead) what.destroy(this.#died());
      }
    }
    this.#beating = false;
  }
}
