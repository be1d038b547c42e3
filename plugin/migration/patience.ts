import { CoatError } from '../../driver/host/errors.ts';
import type { Phase } from '../agent/api.ts';

/**
 * How long a move may stay in a phase, ms, before it is taken back. What copies has hours, because a link may be slow, and a peer that
 * died is noticed by itself (agent/peers/pulse.ts). From the freeze on each step has a time of its own (criu/dump.ts, departure.ts), since to
 * give up there is a question to the destination and not only to a clock.
 */
const PATIENCE_MS: Partial<Record<Phase, number>> = {
  planned: 60_000,
  prepared: 3 * 3_600_000,
  copying: 3 * 3_600_000,
  redirected: 60_000,
};

/** A clock for each phase. */
export class Patience implements Disposable {
  readonly #over: (error: CoatError) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(over: (error: CoatError) => void) {
    this.#over = over;
  }

  enter(phase: Phase): void {
    clearTimeout(this.#timer);
    const ms = PATIENCE_MS[phase];
    if (ms === undefined) return;
    this.#timer = setTimeout(() => this.#over(new CoatError('timeout', `the move did not get beyond "${phase}" within ${ms / 60_000} min`, { hint: 'look at the link between the two hosts, and try again' })), ms);
    this.#timer.unref();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
