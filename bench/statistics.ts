/** A silence that a client saw: `at` is when it ended, ms since 1970, as is everything called at here. */
export interface Gap {
  at: number;
  ms: number;
}

/** A stretch of time. */
export interface Span {
  from: number;
  to: number;
}

/** The middle one of some numbers, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The smallest of some numbers that at least this part of them does not exceed. @param part 0.99 for the 99th percentile */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)]!;
}

export interface Summary {
  median: number;
  worst: number;
  count: number;
}

/** @returns `undefined` of nothing */
export function summary(values: readonly number[]): Summary | undefined {
  return values.length === 0 ? undefined : { median: median(values), worst: Math.max(...values), count: values.length };
}

/** The longest of the silences of which any part lies in the span, ms; 0 where there is none. */
export function longestIn(gaps: readonly Gap[], { from, to }: Span): number {
  return Math.max(0, ...gaps.filter(({ at, ms }) => at >= from && at - ms <= to).map(({ ms }) => ms));
}

/** Each name's values, in the order in which the names come first. */
export function gather<T>(items: readonly T[], name: (item: T) => string, value: (item: T) => number): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const item of items) found.set(name(item), [...(found.get(name(item)) ?? []), value(item)]);
  return found;
}
