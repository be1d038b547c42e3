import type { Faults, Hindrance, MemoryEvent } from '../memory/faults.ts';
import { PAGE, type PageRequest } from '../memory/page.ts';
import type { Ranges } from '../memory/ranges.ts';
import { type Piece, Space } from '../memory/space.ts';

/** So many pages are put in their places, from one that somebody waits for on: a program that touches one often wants those after it, and they cost a tenth each. */
const AROUND = 16;
/** Of what nobody waits for, at once: for some 0.1 ms, in which a page that somebody waits for is not answered. */
const STRETCH = 64;

/** Where pages come from. */
export interface PageSource {
  /** From this page on those that are on this host, of as many as are asked for, if at least the first is. */
  here(wanted: PageRequest): Buffer | undefined;
  /** Somebody waits for this page, which is not. {@link Placer.came} is to be called when it is. */
  want(pid: number, address: number): void;
  /** These are in their places wherever they were missing. */
  placed(pages: PageRequest): void;
}

/** A process, or a child that it had before its memory was whole. */
interface Process {
  /** The process whose memory it began with, as the container counts. */
  readonly pid: number;
  readonly space: Space;
  /** From when CRIU has handed it over. */
  faults: Faults | undefined;
  /** Pages that somebody waits for, and that could not be put there yet. */
  readonly waiting: Set<number>;
}

/** Puts memory in its place in processes that are restored without it: first what they wait for, then the rest, as it is here. */
export class Placer {
  readonly #source: PageSource;
  readonly #open: (fd: number) => Faults;
  #processes: Process[];
  /** What is here and not in its place. */
  readonly #todo: PageRequest[];
  #running = false;

  /**
   * @param memory what is missing, by process
   * @param here what of it is on this host already, in the order in which it is to be put in its place
   * @param open for a child's descriptor
   */
  constructor(source: PageSource, { memory, here, open }: { memory: ReadonlyMap<number, Ranges>; here: readonly PageRequest[]; open: (fd: number) => Faults }) {
    this.#source = source;
    this.#open = open;
    this.#processes = [...memory].map(([pid, ranges]) => ({ pid, space: Space.of(ranges), faults: undefined, waiting: new Set() }));
    this.#todo = [...here];
  }

  /** What is to be waited for. */
  get descriptors(): number[] {
    return this.#processes.flatMap(({ faults }) => faults?.fd ?? []);
  }

  /** Whether there is something to do that nobody waits for. */
  get busy(): boolean {
    return this.#todo.length > 0;
  }

  /** Whether no process misses anything, or none is there any more. */
  get done(): boolean {
    return this.#running && this.#processes.every(({ space }) => space.empty);
  }

  /** CRIU has this process, whose memory is being laid out. */
  attach(pid: number, faults: Faults): void {
    const process = this.#processes.find((one) => one.pid === pid && !one.faults);
    if (process) process.faults = faults;
    // nothing of it is missing, but what it never touched is watched as well
    else this.#processes.push({ pid, space: Space.of([]), faults, waiting: new Set() });
  }

  /** All that is missing has its place from now on; processes that were not handed over do not exist. */
  run(): void {
    this.#running = true;
    this.#processes = this.#processes.filter(({ faults }) => faults);
  }

  /** These are on this host now, and are put in their places ahead of the others. */
  came(pages: PageRequest): void {
    if (!this.#place(pages)) this.#todo.unshift(pages);
  }

  /** @param ready descriptors that have something to say */
  answer(ready: readonly number[]): void {
    for (const process of [...this.#processes]) {
      if (process.faults && ready.includes(process.faults.fd)) this.#hear(process, process.faults.events());
    }
    for (const process of this.#processes) for (const page of process.waiting) this.#give(process, page);
  }

  /** Puts some of what nobody waits for in its place. @returns whether that went well; if not, it is tried again a moment later */
  goOn(): boolean {
    const next = this.#todo[0];
    if (!next) return true;
    const now = { ...next, pages: Math.min(next.pages, STRETCH) };
    if (!this.#place(now)) return false;
    if (now.pages === next.pages) this.#todo.shift();
    else this.#todo[0] = { pid: next.pid, address: next.address + now.pages * PAGE, pages: next.pages - now.pages };
    return true;
  }

  /** Lets go of those that miss nothing. */
  release(): void {
    if (!this.#running) return;
    for (const { space, faults } of this.#processes) if (space.empty) faults?.close();
    this.#processes = this.#processes.filter(({ space }) => !space.empty);
  }

  /** Faults are read before what happened before them. */
  #hear(process: Process, events: readonly MemoryEvent[]): void {
    for (const event of events) {
      if (event.of === 'removed') process.space.drop(event.start, event.end);
      if (event.of === 'moved') process.space.move(event.from, event.to, event.length);
      if (event.of === 'fork') this.#processes.push({ pid: process.pid, space: process.space.copy(), faults: this.#open(event.fd), waiting: new Set() });
    }
    for (const event of events) if (event.of === 'fault') process.waiting.add(event.address - (event.address % PAGE));
  }

  /** Gives a process the page that it waits for, if it is here. */
  #give(process: Process, page: number): void {
    const piece = process.space.find(page);
    if (!piece) {
      const result = process.faults!.zero(page);
      if (result === 'first-read' || result === 'no-memory') return;
      if (typeof result !== 'number') process.faults!.wake(page);
      process.waiting.delete(page);
      return;
    }
    const origin = piece.origin + page - piece.start;
    const pages = Math.min(AROUND, (piece.end - page) / PAGE);
    const data = this.#source.here({ pid: process.pid, address: origin, pages });
    if (!data) this.#source.want(process.pid, origin);
    // what comes later wakes it by itself
    if (!data || this.#put(process, page, data)) process.waiting.delete(page);
  }

  /** @returns whether these are in their places in all processes that missed them */
  #place({ pid, address, pages }: PageRequest): boolean {
    let all = true;
    for (const process of this.#processes) {
      if (process.pid !== pid) continue;
      for (const piece of process.space.wherever(address, address + pages * PAGE)) all = this.#placePiece(process, piece) && all;
    }
    if (all) this.#source.placed({ pid, address, pages });
    return all;
  }

  #placePiece(process: Process, piece: Piece): boolean {
    for (let at = piece.start; at < piece.end; ) {
      const data = this.#source.here({ pid: process.pid, address: piece.origin + at - piece.start, pages: (piece.end - at) / PAGE });
      if (!data || !this.#put(process, at, data)) return false;
      at += data.length;
    }
    return true;
  }

  /** Puts pages of one piece in their places. @returns whether they are there, or not wanted any more */
  #put(process: Process, address: number, data: Buffer): boolean {
    if (!process.faults) return false;
    for (let at = 0, most = data.length; at < data.length; ) {
      const result = process.faults.copy(address + at, data.subarray(at, at + most));
      if (typeof result === 'number') {
        process.space.drop(address + at, address + at + result);
        at += result;
        continue;
      }
      // memory of two kinds is filled one after the other
      if (result === 'nowhere' && Math.min(most, data.length - at) > PAGE) {
        most = Math.ceil(Math.min(most, data.length - at) / PAGE / 2) * PAGE;
        continue;
      }
      if (result === 'ended') {
        this.#ended(process);
        return true;
      }
      if (!this.#settled(process, address + at, data.subarray(at, at + PAGE), result)) return false;
      process.space.drop(address + at, address + at + PAGE);
      // another thread was before it, or what it touched is not there any more
      process.faults.wake(address + at);
      at += PAGE;
    }
    return true;
  }

  /**
   * Whether it is so for good; else it is tried again. Before CRIU has finished it may not have laid the memory out; afterwards it may have been moved at
   * this moment, which only a second try finds out: for as long as that has not been read the kernel refuses it (fs/userfaultfd.c, userfaultfd_copy, mmap_changing).
   */
  #settled({ faults }: Process, page: number, data: Buffer, why: Hindrance): boolean {
    return why === 'there' || (why === 'nowhere' && this.#running && faults!.copy(page, data) === 'nowhere');
  }

  #ended(process: Process): void {
    process.space.drop(0, Infinity);
    process.waiting.clear();
  }
}
