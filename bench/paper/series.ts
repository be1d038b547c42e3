import { median } from '../statistics.ts';

/** A point of a series: s since its begin, and a value. */
export type Point = readonly [at: number, value: number];

/** What `sockperf --full-log` writes: `packet, txTime(sec), rxTime(sec), rtt(usec)`, a line each. @returns round-trip times in ms over time */
export function readSockperf(text: string): Point[] {
  const rows = [...text.matchAll(/^\d+, (\d+\.\d+), (\d+\.\d+), /gm)].map(([, sent, back]) => [Number(sent), Number(back)] as const);
  const begin = rows[0]?.[0];
  if (begin === undefined) throw new Error(`sockperf has logged no packet: ${text.slice(-300)}`);
  return rows.map(([sent, back]) => [sent - begin, (back - sent) * 1000] as const);
}

/** What `iperf3 --json` prints. @returns Mbit/s over time, at the middle of each interval */
export function readIperf(text: string): Point[] {
  const { intervals, error } = JSON.parse(text) as { intervals: { sum: { start: number; end: number; bits_per_second: number } }[]; error?: string };
  if (error !== undefined) throw new Error(`iperf3: ${error}`);
  return intervals.map(({ sum: { start, end, bits_per_second: rate } }) => [(start + end) / 2, rate / 1e6] as const);
}

/** Fewer points for a picture: of each stretch of time its first, its least and its greatest. @param width of a stretch, s */
export function thin(points: readonly Point[], width: number): Point[] {
  const kept: Point[] = [];
  let stretch: Point[] = [];
  const flush = (): void => {
    if (stretch.length === 0) return;
    const byValue = [...stretch].sort((a, b) => a[1] - b[1]);
    kept.push(...new Set([stretch[0]!, byValue[0]!, byValue.at(-1)!].sort((a, b) => a[0] - b[0])));
    stretch = [];
  };
  for (const point of points) {
    if (stretch.length > 0 && Math.floor(point[0] / width) !== Math.floor(stretch[0]![0] / width)) flush();
    stretch.push(point);
  }
  flush();
  return kept;
}

/** The round trip that took longest: when it began, s, and how long it took, ms. */
export const longestTrip = (points: readonly Point[]): { at: number; ms: number } => points.reduce((most, [at, ms]) => (ms > most.ms ? { at, ms } : most), { at: 0, ms: 0 });

/** An interval with less of the usual rate belongs to a dip. */
const DIP = 0.9;
/** What is usual is the median of that many intervals before it. A stream begins with more, which goes into buffers. */
const USUAL = 20;

/**
 * The dip that cost most, of those to less than nine tenths of the rate before. Intervals are longer than a good move's gap, so what
 * is told is not how many stood still: it is for how long the transfer would have to have stood still to carry as much less.
 *
 * @returns when it began, s, and that time, ms
 */
export function deepestDip(points: readonly Point[]): { at: number; ms: number } {
  const width = points.length > 1 ? points[1]![0] - points[0]![0] : 0;
  let [most, dip] = [{ at: 0, ms: 0 }, { at: 0, ms: 0 }];
  for (let index = USUAL; index < points.length; index += 1) {
    const [at, value] = points[index]!;
    const usual = median(points.slice(index - USUAL, index).map(([, each]) => each));
    const lost = value < DIP * usual ? (1 - value / usual) * width * 1000 : 0;
    dip = lost === 0 ? { at: 0, ms: 0 } : { at: dip.ms === 0 ? at : dip.at, ms: dip.ms + lost };
    if (dip.ms > most.ms) most = dip;
  }
  return most;
}
