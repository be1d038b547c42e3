import { performance } from 'node:perf_hooks';
import { type Phase, phases, type Step } from '../agent/api.ts';

/** Where the time of one migration goes. All in ms from its beginning, by this host's monotonic clock. */
export class Timeline {
  readonly steps: Step[] = [];
  readonly #host: string;
  readonly #zero = performance.now();
  readonly #entered = new Map<Phase, number>();
  #frozenAt: number | undefined;
  #thawedAt: number | undefined;

  constructor(host: string) {
    this.#host = host;
  }

  now(): number {
    return performance.now() - this.#zero;
  }

  enter(phase: Phase): void {
    this.#entered.set(phase, this.now());
  }

  /** Measures one piece of work, whether it succeeds or not. */
  async step<T>(name: string, work: () => Promise<T>): Promise<T> {
    const start = this.now();
    try {
      return await work();
    } finally {
      this.steps.push({ name, host: this.#host, start, ms: this.now() - start, blackout: this.#frozenAt !== undefined && this.#thawedAt === undefined });
    }
  }

  /** Steps another host measured, whose clock read `theirNow` when ours reads now. To be called before {@link Timeline.thawed}. */
  adopt(steps: readonly Step[], theirNow: number): void {
    const shift = this.now() - theirNow;
    const frozenAt = this.#frozenAt ?? Infinity;
    this.steps.push(...steps.map((step) => ({ ...step, start: step.start + shift, blackout: step.start + shift >= frozenAt })));
  }

  frozen(): void {
    this.#frozenAt = this.now();
  }

  /** @param ago ms since it happened, for a thaw that was reported */
  thawed(ago = 0): void {
    this.#thawedAt = this.now() - ago;
  }

  /** Freeze to thaw, or `undefined` where nothing was frozen. */
  blackout(): number | undefined {
    if (this.#frozenAt === undefined) return undefined;
    return (this.#thawedAt ?? this.now()) - this.#frozenAt;
  }

  /** How long each phase took: from its beginning to that of the next one. */
  perPhase(): { phase: Phase; ms: number }[] {
    const entered = phases.filter((phase) => this.#entered.has(phase)).map((phase) => ({ phase, at: this.#entered.get(phase)! }));
    return entered.map(({ phase, at }, index) => ({ phase, ms: (entered[index + 1]?.at ?? this.now()) - at }));
  }
}
