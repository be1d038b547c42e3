/** How a transfer ahead of the freeze went so far. */
export interface Progress {
  /** Bytes sent in each round, the first of which is everything. */
  sent: readonly number[];
  /** Bytes written to since the last round began: what the next would send. */
  dirty: number;
  /** Bytes a second, of the rounds so far. */
  rate: number;
}

/** So long the rest may take while the container stands still, ms: hardly longer than CRIU has to work anyway. */
const REST_MS = 20;
/** A round that leaves more than this part of what the one before left does not pay. */
const PAYS = 0.75;
/** In bytes: all rounds after the first together send no more than this many times the first. */
const MOST = 2;
const ROUNDS = 12;

/**
 * Whether another round pays before the container is frozen. Each round sends what was written to during the one before, so with memory that is
 * written to more slowly than it can be sent they become shorter and shorter, and with other memory they never end.
 */
export function anotherRound({ sent, dirty, rate }: Progress): boolean {
  if (sent.length === 0) return true;
  const [first = 0, ...later] = sent;
  if ((dirty / rate) * 1000 <= REST_MS) return false;
  if (sent.length >= ROUNDS || later.reduce((sum, bytes) => sum + bytes, 0) + dirty > MOST * first) return false;
  // of the first two rounds nothing can be learnt yet: everything is sent in the first
  const before = later.at(-1);
  return before === undefined || dirty < PAYS * before;
}
