const SIZES = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** Bytes for a person, in powers of 1000 as docker shows them: `52.4 MB`. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < SIZES.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : Number(value.toPrecision(3))} ${SIZES[unit]}`;
}

/** A duration for a sentence: `312 ms`, `4.21 s`, `2 min 5 s`. */
export function duration(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_995) return `${(ms / 1000).toFixed(2)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** A duration for a column headed MS: whole numbers, with one decimal only where it says something. */
export function millis(ms: number): string {
  return ms < 9.95 ? ms.toFixed(1) : String(Math.round(ms));
}

const SPANS: readonly (readonly [ms: number, name: string])[] = [[86_400_000, 'day'], [3_600_000, 'hour'], [60_000, 'minute'], [1_000, 'second']];

/** How long ago, as roughly as people say it: `3 minutes ago`. */
export function ago(ms: number): string {
  const [span, name] = SPANS.find(([each]) => ms >= each) ?? SPANS.at(-1)!;
  const count = Math.max(0, Math.floor(ms / span));
  return `${count} ${name}${count === 1 ? '' : 's'} ago`;
}
