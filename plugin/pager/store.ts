import type { PageRange } from '../criu/pagemap.ts';
import { PAGE, type PageRequest } from '../criu/pageserver.ts';
import { intersect, ordered, sizeOf, subtract } from '../memory/ranges.ts';
import { MOST_PAGES } from '../transfer/pages.ts';
import { type Ahead, NOTHING } from './local.ts';

/** Some neighbouring pages of a process, which travel together. */
export interface Chunk extends PageRequest {
  /** Of how many pages the range is that it is a part of. */
  range: number;
  /** `given`: it was here, and is fetched again only when somebody wants it again. */
  state: 'away' | 'asked' | 'here' | 'given';
  /** Of what came ahead there is none: it is read when it is wanted. */
  data?: Buffer;
  /** How many of its pages have been given out since it came. */
  given: number;
}

/**
 * So many pages are fetched before the container runs: of the small ranges, as many whole ones as fit. A program's variables, stacks and heaps are
 * among them, and it will want them first.
 */
const EARLY_PAGES = 1792;

/**
 * Which pages there are to come, and those that have come and are not wanted yet. Whatever was given out once can be given out
 * again: a process that forks wants pages twice. Where some of them came ahead, those that come now are kept until the end as well, so that
 * the source is needed no more as soon as the last is here.
 */
export class PageStore {
  readonly #ahead: Ahead;
  /** Those that have to be fetched, in the order in which they are unless somebody wants another first. */
  #chunks: Chunk[] = [];
  /** All of each process, in the order of their addresses. */
  readonly #processes = new Map<number, Chunk[]>();
  #next = 0;
  /** Of how many chunks in that order the pages are early ones. */
  #early: number;
  /** Pages that have not come. */
  #missing: number;
  /** Whether the container has to wait until the last page is here. */
  readonly waits: boolean;

  /** Small ranges come first: a program's variables, heaps and stacks are among them, and large ones are what it rarely needs all of. */
  constructor(processes: ReadonlyMap<number, readonly PageRange[]> = new Map(), ahead = NOTHING) {
    this.#ahead = ahead;
    const missing: PageRange[] = [];
    for (const [pid, ranges] of processes) {
      const [all, there] = [ordered(ranges), ahead.pages(pid)];
      const local = intersect(all, there).map((range): Chunk => ({ pid, ...range, range: range.pages, state: 'here', given: 0 }));
      const away = subtract(all, there);
      missing.push(...away);
      const chunks = away.flatMap((range) => chunksOf(pid, range));
      this.#chunks.push(...chunks);
      this.#processes.set(pid, [...local, ...chunks].sort((a, b) => a.address - b.address));
    }
    this.#chunks.sort((a, b) => a.range - b.range);
    this.#missing = sizeOf(missing) / PAGE;
    this.waits = ahead !== NOTHING && this.#missing * PAGE <= ahead.wait;
    this.#early = this.waits ? this.#chunks.length : earlyChunks(missing.map(({ pages }) => pages));
  }

  /** Whether the source is needed no more. */
  get whole(): boolean {
    return this.#ahead !== NOTHING && this.#missing === 0;
  }

  /** @throws Error for a page that was never announced */
  find({ pid, address }: PageRequest): Chunk {
    return this.#processes.get(pid)![this.#place(pid, address)]!;
  }

  /** Has a page travel with few of its neighbours, if it is not on its way already: what is small is there sooner. @param pages at most, in its chunk from now on */
  narrow({ pid, address }: PageRequest, pages: number): void {
    const place = this.#place(pid, address);
    const chunk = this.#processes.get(pid)![place]!;
    if (chunk.state !== 'away' || chunk.pages <= pages) return;
    const before = Math.floor((address - chunk.address) / PAGE / pages) * pages;
    const parts = [[0, before], [before, Math.min(before + pages, chunk.pages)], [before + pages, chunk.pages]] as const;
    const pieces = parts.filter(([from, to]) => to > from).map(([from, to]): Chunk => ({ ...chunk, address: chunk.address + from * PAGE, pages: to - from }));
    this.#processes.get(pid)!.splice(place, 1, ...pieces);
    const order = this.#chunks.indexOf(chunk);
    this.#chunks.splice(order, 1, ...pieces);
    if (order < this.#early) this.#early += pieces.length - 1;
  }

  #place(pid: number, address: number): number {
    const chunks = this.#processes.get(pid) ?? [];
    let [low, high] = [0, chunks.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (chunks[middle]!.address <= address) low = middle;
      else high = middle - 1;
    }
    const chunk = chunks[low];
    if (chunk && address >= chunk.address && address < chunk.address + chunk.pages * PAGE) return low;
    throw new Error(`CRIU wants the page ${address.toString(16)} of process ${pid}, which nobody has`);
  }

  /** The next that nobody has asked for yet. @param early whether only the early ones count */
  nextAway(early = false): Chunk | undefined {
    while (this.#chunks[this.#next] && this.#chunks[this.#next]!.state !== 'away') this.#next += 1;
    return early && this.#next >= this.#early ? undefined : this.#chunks[this.#next];
  }

  /** All that is on its way. */
  asked(): Chunk[] {
    return this.#chunks.filter(({ state }) => state === 'asked');
  }

  came(chunk: Chunk, data: Buffer): void {
    this.#missing -= chunk.pages;
    Object.assign(chunk, { state: 'here', data, given: 0 } satisfies Partial<Chunk>);
  }

  /** As many of the wanted pages as the chunk has. */
  give(chunk: Chunk, { pid, address, pages }: PageRequest): { head: PageRequest; data: Buffer } {
    const from = address - chunk.address;
    const count = Math.min(pages, chunk.pages - from / PAGE);
    const head = { pid, address, pages: count };
    if (!chunk.data) return { head, data: this.#ahead.read(head) };
    const data = chunk.data.subarray(from, from + count * PAGE);
    chunk.given += count;
    if (this.#ahead === NOTHING && chunk.given >= chunk.pages) Object.assign(chunk, { state: 'given', data: undefined });
    return { head, data };
  }
}

/** Of how many chunks the small ranges are that fit into {@link EARLY_PAGES}; one of which a part does not fit is none of them. @param ranges the pages of each */
function earlyChunks(ranges: readonly number[]): number {
  let [sum, chunks] = [0, 0];
  for (const pages of [...ranges].sort((a, b) => a - b)) {
    sum += pages;
    if (sum > EARLY_PAGES) break;
    chunks += Math.ceil(pages / MOST_PAGES);
  }
  return chunks;
}

const chunksOf = (pid: number, { address, pages }: PageRange): Chunk[] =>
  Array.from({ length: Math.ceil(pages / MOST_PAGES) }, (_, i) => ({
    pid,
    address: address + i * MOST_PAGES * PAGE,
    pages: Math.min(MOST_PAGES, pages - i * MOST_PAGES),
    range: pages,
    state: 'away',
    given: 0,
  }));
