import type { PageRange } from '../criu/pagemap.ts';
import { PAGE } from './page.ts';

/** Ranges in the order of their addresses, none of which overlaps another. */
export type Ranges = readonly PageRange[];

const end = ({ address, pages }: PageRange): number => address + pages * PAGE;
const between = (from: number, to: number): PageRange => ({ address: from, pages: (to - from) / PAGE });

/** Brings any ranges into order, and those that touch or overlap together. */
export function ordered(ranges: readonly PageRange[]): Ranges {
  const result: PageRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.address - b.address)) {
    const last = result.at(-1);
    if (last && range.address <= end(last)) last.pages = between(last.address, Math.max(end(last), end(range))).pages;
    else result.push({ ...range });
  }
  return result;
}

/** What is in either. */
export const union = (a: Ranges, b: Ranges): Ranges => ordered([...a, ...b]);

/** What is in both. */
export function intersect(a: Ranges, b: Ranges): Ranges {
  const result: PageRange[] = [];
  for (let [i, j] = [0, 0]; i < a.length && j < b.length; ) {
    const [x, y] = [a[i]!, b[j]!];
    const [from, to] = [Math.max(x.address, y.address), Math.min(end(x), end(y))];
    if (from < to) result.push(between(from, to));
    if (end(x) < end(y)) i += 1;
    else j += 1;
  }
  return result;
}

/** What is in the first and not in the second. */
export function subtract(a: Ranges, b: Ranges): Ranges {
  const result: PageRange[] = [];
  let j = 0;
  for (const range of a) {
    let from = range.address;
    while (b[j] && end(b[j]!) <= from) j += 1;
    for (let k = j; from < end(range); k += 1) {
      const hole = b[k];
      if (!hole || hole.address >= end(range)) {
        result.push(between(from, end(range)));
        break;
      }
      if (hole.address > from) result.push(between(from, hole.address));
      from = Math.max(from, end(hole));
    }
  }
  return result;
}

/** Bytes. */
export const sizeOf = (ranges: Ranges): number => ranges.reduce((sum, { pages }) => sum + pages, 0) * PAGE;
