import { CoatError } from '../../driver/host/errors.ts';
import type { MigrationRequest, Phase } from '../agent/api.ts';

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

/** What a user may ask for beyond that. */
type Wishes = Pick<MigrationRequest, 'maxBlackout' | 'timeout'>;

/** A clock for each phase, one for all of them up to the freeze, and one for the blackout. */
export class Patience implements Disposable {
  readonly #over: (error: CoatError) => void;
  readonly #wishes: Wishes;
  readonly #timers = new Map<'phase' | 'whole' | 'blackout', NodeJS.Timeout>();

  constructor(over: (error: CoatError) => void, wishes: Wishes = {}) {
    this.#over = over;
    this.#wishes = wishes;
  }

  enter(phase: Phase): void {
    const { maxBlackout, timeout } = this.#wishes;
    this.#stop('phase');
    const ms = PATIENCE_MS[phase];
    if (ms !== undefined) this.#start('phase', ms, `the move did not get beyond "${phase}" within ${spell(ms)}`, 'look at the link between the two hosts, and try again');
    if (phase === 'planned' && timeout !== undefined) this.#start('whole', timeout, `the container could not be frozen within ${spell(timeout)}, as long as the move was given`, 'try again with a longer --timeout');
    if (phase === 'frozen') this.#stop('whole');
    if (phase === 'frozen' && maxBlackout !== undefined) {
      this.#start('blackout', maxBlackout, `the container has stood still for ${spell(maxBlackout)}, and does not run at the destination yet`, 'a faster link, --strategy postcopy or a longer --max-blackout may help');
    }
    if (phase === 'released') this.#stop('blackout');
  }

  #start(which: 'phase' | 'whole' | 'blackout', ms: number, what: string, hint: string): void {
    // one longer than a timer can be is none (setTimeout in Node.js)
    if (ms >= 2 ** 31) return;
    this.#timers.set(which, setTimeout(() => this.#over(new CoatError('timeout', what, { hint })), ms).unref());
  }

  #stop(which: 'phase' | 'whole' | 'blackout'): void {
    clearTimeout(this.#timers.get(which));
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }
}

const spell = (ms: number): string => (ms % 60_000 === 0 ? `${ms / 60_000} min` : ms >= 1_000 ? `${ms / 1_000} s` : `${ms} ms`);
