import type { Ranges } from './ranges.ts';

/** Beside CRIU's images: which pages of a lazy dump the destination has already, and they are as they were there. */
export const AHEAD = 'ahead.json';
/** Where the destination keeps pages that came ahead, a file for each process in which a page lies at its own address. */
export const MEMORY = 'memory';

export interface AheadImage {
  /** The container need not wait for more than this that is missing, bytes; without it, it waits for all. */
  wait?: number;
  /** By process, as the container counts: address and number of pages. */
  pages: Record<string, [address: number, pages: number][]>;
}

/** @param ranges by process, as the container counts */
export const aheadImage = (ranges: ReadonlyMap<number, Ranges>, wait: number | undefined): AheadImage => ({
  ...(wait === undefined ? {} : { wait }),
  pages: Object.fromEntries([...ranges].map(([pid, its]) => [pid, its.map(({ address, pages }) => [address, pages])])),
});

/** @param pid as the container counts */
export const pagesOf = ({ pages }: AheadImage, pid: number): Ranges => (pages[pid] ?? []).map(([address, count]) => ({ address, pages: count }));
