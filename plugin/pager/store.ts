import type { PageRange } from '../criu/pagemap.ts';
import { PAGE, type PageRequest } from '../memory/page.ts';
import { intersect, ordered, type Ranges, sizeOf, subtract } from '../memory/ranges.ts';
import { MOST_PAGES } from '../transfer/pages.ts';
import { type Ahead, NOTHING } from './local.ts';

/** Some neighbouring pages of a process, which travel together. */
export interface Chunk extends PageRequest {
  /** Of how many pages the range is that it is a part of. */
  range: number;
  /** `placed`: it was here, and is in its place. */
  state: 'away' | 'asked' | 'here' | 'placed';
  /** Of what came ahead there is none: it is read when it is wanted. */
  data?: Buffer | undefined;
}

/**
 * So many pages are fetched before the container runs: of the small ranges, as many whole ones as fit. A program's variables, stacks and heaps are
 * among them, and it will want them first.
 */
const EARLY_PAGES = 1792;

/** Which pages there are to come, and those that have come and are not in their places yet. */
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
  /** All there are, by process. */
  readonly memory: ReadonlyMap<number, Ranges>;
  /** Those that came ahead, in the order in which they are put in their places. */
  readonly local: PageRequest[] = [];
  /** Whether the container has to wait until the last page is here. */
  readonly waits: boolean;

  /** Small ranges come first: a program's variables, heaps and stacks are among them, and large ones are what it rarely needs all of. */
  constructor(processes: ReadonlyMap<number, readonly PageRange[]> = new Map(), ahead = NOTHING) {
    this.#ahead = ahead;
    const missing: PageRange[] = [];
    this.memory = new Map([...processes].map(([pid, ranges]) => [pid, ordered(ranges)]));
    for (const [pid, all] of this.memory) {
      const there = ahead.pages(pid);
      const local = intersect(all, there).map((range): Chunk => ({ pid, ...range, range: range.pages, state: 'here' }));
      const away = subtract(all, there);
      missing.push(...away);
      this.local.push(...local);
      const chunks = away.flatMap((range) => chunksOf(pid, range));
      this.#chunks.push(...chunks);
      this.#processes.set(pid, [...local, ...chunks].sort((a, b) => a.address - b.address));
    }
    this.#chunks.sort((a, b) => a.range - b.range);
    this.local.sort((a, b) => a.pages - b.pages);
    this.#missing = sizeOf(missing) / PAGE;
    this.waits = ahead !== NOTHING && this.#missing * PAGE <= ahead.wait;
    this.#early = this.waits ? this.#chunks.length : earlyChunks(missing.map(({ pages }) => pages));
  }

  /** Whether the source is needed no more. */
  get whole(): boolean {
    return this.#missing === 0;
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
    throw new Error(`page ${address.toString(16)} of process ${pid} is wanted, which nobody has`);
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
    Object.assign(chunk, { state: 'here', data } satisfies Partial<Chunk>);
  }

  /** From this page on as many of them as are here and lie together; nothing where the first is not here. */
  here({ pid, address, pages }: PageRequest): Buffer | undefined {
    const chunk = this.find({ pid, address, pages });
    if (chunk.state !== 'here') return undefined;
    const from = address - chunk.address;
    const count = Math.min(pages, chunk.pages - from / PAGE);
    return chunk.data ? chunk.data.subarray(from, from + count * PAGE) : this.#ahead.read({ pid, address, pages: count });
  }

  /** These are not needed any more. */
  placed(pages: PageRequest): void {
    const chunk = this.find(pages);
    // what came ahead is in larger parts
    if (chunk.data) Object.assign(chunk, { state: 'placed', data: undefined } satisfies Partial<Chunk>);
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
  }));
