/** A stretch of time, ms. */
export interface Stretch {
  from: number;
  to: number;
}

/** The same time as stretches that do not touch, in order. */
export function joined(stretches: readonly Stretch[]): Stretch[] {
  const found: Stretch[] = [];
  for (const { from, to } of [...stretches].sort((a, b) => a.from - b.from)) {
    const last = found.at(-1);
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to);
    else found.push({ from, to });
  }
  return found;
}

/** The time that is in the first, and not in the second. */
export function onlyIn(first: readonly Stretch[], second: readonly Stretch[]): Stretch[] {
  let left = joined(first);
  for (const gone of joined(second)) {
    left = left.flatMap(({ from, to }) => [{ from, to: Math.min(to, gone.from) }, { from: Math.max(from, gone.to), to }].filter((each) => each.from < each.to));
  }
  return left;
}

/** How long it is in all, ms. @param within only what lies in it counts */
export function covered(stretches: readonly Stretch[], within: Stretch = { from: -Infinity, to: Infinity }): number {
  return joined(stretches).reduce((sum, { from, to }) => sum + Math.max(0, Math.min(to, within.to) - Math.max(from, within.from)), 0);
}
