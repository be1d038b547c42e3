import type { MigrationEvent, NumberedEvent } from '../agent/api.ts';

/**
 * The events of one move, kept so that whoever comes late, or again, hears all of them. Of what only grows (`progress`) the last
 * one is kept, so the list stays short however long the move takes.
 */
export class EventLog {
  readonly #kept: NumberedEvent[] = [];
  readonly #waiting = new Set<() => void>();
  /** Begins with the time, so that numbers go on growing where a restarted agent begins another list of the same move. */
  #seq = Date.now();
  #ended = false;

  append(event: MigrationEvent): void {
    if (this.#ended) return;
    if (event.type === 'progress') {
      const before = this.#kept.findIndex(({ event: kept }) => kept.type === 'progress' && kept.what === event.what);
      if (before !== -1) this.#kept.splice(before, 1);
    }
    this.#kept.push({ seq: (this.#seq += 1), event });
    this.#ended = event.type === 'done' || event.type === 'failed';
    this.#wake();
  }

  /** Every kept event with a higher number, and those that come, up to the last one. Ends early with the signal. */
  async *after(seq: number, signal: AbortSignal): AsyncGenerator<NumberedEvent, void> {
    const wake = (): void => this.#wake();
    signal.addEventListener('abort', wake);
    try {
      for (let heard = seq; !signal.aborted; ) {
        const next = this.#kept.find((each) => each.seq > heard);
        if (next !== undefined) {
          heard = next.seq;
          yield next;
        } else if (this.#ended) return;
        else await new Promise<void>((resolve) => this.#waiting.add(resolve));
      }
    } finally {
      signal.removeEventListener('abort', wake);
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
