import { median } from '../statistics.ts';
import type { Line } from './peer.ts';

/** A short stretch of a client's time: when it ended, ms since 1970, and how long its requests took, ms. */
export interface Stretch {
  at: number;
  /** With those of the half second before. */
  p99: number;
  most: number;
}

/** A short stretch of a stream: when it ended, ms since 1970, and what it carried, Mbit/s. */
export interface Rate {
  at: number;
  rate: number;
}

/** What a client saw of one move. */
export interface Seen {
  /** The longest time without an answer, or for how long a stream stood still, ms. */
  gap: number;
  /** From the first answer after the gap until all is as it was before the move, ms. */
  calm: number;
}

/** When a move was asked for, and when the next one was, ms since 1970. */
export interface Window {
  from: number;
  to: number;
}

/** How far back it is looked what is usual, ms. */
const USUAL_MS = 2_000;
/** A request is late that takes longer than this many times the usual p99, and this much more, ms. */
const [TIMES_LATE, MORE_LATE_MS] = [2, 1];
/** Goodput is back at this part of what it was. */
const BACK = 0.95;
/** What carries less than this part of the usual stands still. */
const STILL = 0.5;

/** Lines of bench/programs/ask.py. */
export function readStretches(lines: readonly Line[]): Stretch[] {
  return lines.flatMap(({ at, text }) => {
    const [word, , , , p99, most] = text.split(' ');
    return word === 'stretch' ? [{ at, p99: Number(p99), most: Number(most) }] : [];
  });
}

/** Lines of `iperf3 --interval 0.1 --format m --forceflush`; not those that sum up. */
export function readRates(lines: readonly Line[]): Rate[] {
  return lines.flatMap(({ at, text }) => {
    const found = /^\[ *\d+\] +([\d.]+)-([\d.]+) +sec .* ([\d.]+) Mbits\/sec/.exec(text);
    return found && Number(found[2]) - Number(found[1]) < 1 ? [{ at, rate: Number(found[3]) }] : [];
  });
}

/**
 * How a client that asks fared during a move.
 *
 * @returns `undefined` where too little is known of the time before
 */
export function askedDuring(stretches: readonly Stretch[], { from, to }: Window): Seen | undefined {
  const before = stretches.filter(({ at }) => at > from - USUAL_MS && at <= from);
  const during = stretches.filter(({ at }) => at > from && at <= to);
  if (before.length === 0 || during.length === 0) return undefined;
  const late = TIMES_LATE * median(before.map(({ p99 }) => p99)) + MORE_LATE_MS;
  const frozen = during.reduce((most, each) => (each.most > most.most ? each : most));
  const lastLate = during.filter(({ at, p99 }) => at > frozen.at && p99 > late).at(-1);
  return { gap: frozen.most, calm: lastLate === undefined ? 0 : lastLate.at - frozen.at };
}

/**
 * How a stream fared during a move. Its stretches are about as long as the gap, so both figures are no finer than one of them.
 *
 * @param blackout of the move, ms
 * @returns `undefined` where too little is known of the time before
 */
export function streamedDuring(rates: readonly Rate[], { from, to }: Window, blackout: number): Seen | undefined {
  const before = rates.filter(({ at }) => at > from - USUAL_MS && at <= from);
  const during = rates.filter(({ at }) => at > from && at <= to);
  if (before.length === 0 || during.length === 0) return undefined;
  const usual = median(before.map(({ rate }) => rate));
  const lowest = during.reduce((least, each) => (each.rate < least.rate ? each : least));
  // it was not noticed
  if (lowest.rate >= STILL * usual) return { gap: 0, calm: 0 };
  const index = rates.indexOf(lowest);
  const lastGood = rates.slice(0, index).findLast(({ rate }) => rate >= BACK * usual);
  const good = rates.slice(index).find(({ rate }) => rate >= BACK * usual);
  const stretch = good === undefined ? 0 : good.at - (rates[rates.indexOf(good) - 1]?.at ?? good.at);
  const still = (good === undefined ? to : good.at - stretch) - (lastGood?.at ?? from);
  return { gap: still, calm: Math.max(0, still - blackout) };
}

/** What sockperf says at its end. @throws Error where it says nothing of it */
export function readDatagrams(lines: readonly Line[]): { sent: number; lost: number; doubled: number; disordered: number } {
  const text = lines.map((line) => line.text).join('\n');
  const number = (pattern: RegExp): number => {
    const found = pattern.exec(text)?.[1];
    if (found === undefined) throw new Error(`sockperf does not say ${String(pattern)}: ${text.slice(-400)}`);
    return Number(found);
  };
  return { sent: number(/SentMessages=(\d+)/), lost: number(/dropped messages = (\d+)/), doubled: number(/duplicated messages = (\d+)/), disordered: number(/out-of-order messages = (\d+)/) };
}
