import { median, quantile } from '../statistics.ts';

/** A number with as many digits as are worth reading. */
export const short = (value: number): string => {
  const size = Math.abs(value);
  return size === 0 ? '0' : size < 9.95 ? String(Number(value.toPrecision(3))) : Math.round(value).toLocaleString('en-US');
};

/** The median, and in brackets the least and the most. */
export function spread(values: readonly number[]): string {
  if (values.length === 0) return '-';
  if (values.length === 1) return short(values[0]!);
  return `${short(median(values))} (${short(Math.min(...values))} to ${short(Math.max(...values))})`;
}

/** For a plot of which part of the values is not more than each. */
export function distribution(values: readonly number[]): [number, number][] {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.map((value, index) => [value, ((index + 1) / sorted.length) * 100]);
}

/** Median, 90th and 99th percentile and the most. */
export const tail = (values: readonly number[]): string[] => (values.length === 0 ? ['-', '-', '-', '-'] : [median(values), quantile(values, 0.9), quantile(values, 0.99), Math.max(...values)].map(short));
