/** Sizes that are asked about at once. What does not get through costs a time-out, so few rounds matter more than few packets. */
const AT_ONCE = 8;

/**
 * The largest size that gets through, by asking.
 *
 * @param least bytes; what nobody would use if not even this got through
 * @param most bytes; asked about first, as it mostly does
 * @returns `undefined` where `least` does not get through, which says nothing about sizes
 */
export async function largest(least: number, most: number, carries: (bytes: number) => Promise<boolean>): Promise<number | undefined> {
  if (await carries(most)) return most;
  if (least >= most || !(await carries(least))) return undefined;
  let [through, lost] = [least, most];
  while (lost - through > 1) {
    const sizes = between(through, lost);
    const answers = await Promise.all(sizes.map(carries));
    // the first that is lost decides: a path carries everything below what it carries
    const first = answers.indexOf(false);
    [through, lost] = [sizes[(first < 0 ? sizes.length : first) - 1] ?? through, sizes[first] ?? lost];
  }
  // on a busy machine an answer may be late; so before people are told of a narrow path, it is tried once more
  return (await carries(most)) ? most : through;
}

/** At most {@link AT_ONCE} sizes, evenly spread, without the ends. */
function between(low: number, high: number): number[] {
  const parts = Math.min(AT_ONCE + 1, high - low);
  return Array.from({ length: parts - 1 }, (_, i) => low + Math.round(((i + 1) * (high - low)) / parts));
}
