import { closeSync, openSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { explain } from '../../driver/host/errors.ts';
import type { Log } from '../../driver/host/log.ts';
import type { HostSide } from '../criu/host.ts';
import { PAGE } from './page.ts';
import { innerPid } from '../criu/pids.ts';
import { Outlet } from '../transfer/outlet.ts';
import { encodeHead, HEAD, MOST_PAGES } from '../transfer/pages.ts';
import { type AheadImage, aheadImage } from './ahead.ts';
import { type Ranges, sizeOf, subtract, union } from './ranges.ts';
import { readMemory } from './read.ts';
import { anotherRound } from './rounds.ts';
import { Tracker } from './tracker.ts';

/** What a link is taken for until something was sent, bytes a second. */
const RATE = 1e9;
/** Just before the freeze what is left is sent if that takes no longer than this, ms. */
const LAST_MS = 250;

/** One process of the container. */
interface Followed {
  /** As the container counts. */
  inner: number;
  proc: string;
  tracker: Tracker;
  /** What the destination has. */
  sent: Ranges;
  /** What was written to since, and was not sent. */
  left: Ranges;
}

/**
 * Sends the memory of a running container ahead of it, and again what it has written to meanwhile, for as long as that pays
 * ({@link anotherRound}). When it stands still, {@link MemorySender.finish} says what of that is still true.
 *
 * A process that cannot be followed, such as one that is being traced, is left out: all of its memory comes later.
 */
export class MemorySender {
  readonly #host: HostSide;
  readonly #log: Log;
  readonly #pids: () => Promise<number[]>;
  readonly #followed = new Map<number, Followed>();
  readonly #outlet: Outlet;
  readonly #way: Writable;
  #time = 0;
  /** Bytes. */
  total = 0;

  /** @param pids of the container's processes, as this host counts */
  constructor(host: HostSide, log: Log, pids: () => Promise<number[]>, way: Writable) {
    this.#host = host;
    this.#log = log;
    this.#pids = pids;
    this.#way = way;
    this.#outlet = new Outlet(way, HEAD + MOST_PAGES * PAGE);
  }

  /** Bytes a second. */
  get rate(): number {
    return this.total > 0 ? (this.total / this.#time) * 1000 : RATE;
  }

  /** @returns how many rounds it took */
  async rounds(signal: AbortSignal, progress: () => void): Promise<number> {
    for (const sent: number[] = []; ; ) {
      await this.#look();
      const dirty = this.#left();
      if (!anotherRound({ sent, dirty, rate: this.rate })) return sent.length;
      await this.#send(signal, progress);
      sent.push(dirty);
    }
  }

  /** A last short one. */
  async last(signal: AbortSignal): Promise<void> {
    await this.#look();
    if ((this.#left() / this.rate) * 1000 <= LAST_MS) await this.#send(signal, () => undefined);
    const end = encodeHead({ pid: 0, pages: 0, address: 0 });
    await new Promise<void>((resolve, reject) => this.#way.end(end, (error?: Error | null) => (error ? reject(error) : resolve())));
  }

  /**
   * What the destination has and need not ask for. The container stands still.
   *
   * @param patience for how much of the rest it may go on standing still, ms; without it, for all
   */
  async finish(patience: number | undefined): Promise<AheadImage> {
    const kept = new Map<number, Ranges>();
    for (const [pid, { inner, tracker, sent, left }] of this.#followed) {
      try {
        kept.set(inner, subtract(sent, union(left, await tracker.rest())));
      } catch (error) {
        this.#log.debug({ pid, error: explain(error) }, 'what came ahead of a process does not count: it cannot be said any more what it has written to');
      }
    }
    return aheadImage(kept, patience === undefined ? undefined : (this.rate * patience) / 1000);
  }

  /** From now on nothing is followed. */
  close(): void {
    for (const { tracker } of this.#followed.values()) tracker[Symbol.dispose]();
    this.#followed.clear();
  }

  #left(): number {
    return [...this.#followed.values()].reduce((sum, { left }) => sum + sizeOf(left), 0);
  }

  /** What was written to since the last look is left to be sent. */
  async #look(): Promise<void> {
    const pids = await this.#pids();
    for (const [pid, { tracker }] of this.#followed) {
      if (pids.includes(pid)) continue;
      tracker[Symbol.dispose]();
      this.#followed.delete(pid);
    }
    for (const pid of pids) {
      try {
        const followed = this.#followed.get(pid) ?? (await this.#follow(pid));
        const { sent, left, tracker } = followed;
        const written = await tracker.take();
        Object.assign(followed, { sent: subtract(sent, written), left: union(left, written) });
      } catch (error) {
        this.#log.debug({ pid, error: explain(error) }, 'memory of a process cannot be sent ahead');
      }
    }
  }

  async #follow(pid: number): Promise<Followed> {
    const proc = this.#host.path(`/proc/${pid}`);
    const followed = { inner: innerPid(this.#host, pid), proc, tracker: await Tracker.of(proc, pid), sent: [], left: [] };
    this.#followed.set(pid, followed);
    return followed;
  }

  async #send(signal: AbortSignal, progress: () => void): Promise<void> {
    const began = performance.now();
    for (const followed of this.#followed.values()) {
      const { left } = followed;
      const gone = await this.#sendRanges(followed, signal, progress);
      Object.assign(followed, { sent: union(followed.sent, subtract(left, gone)), left: [] });
    }
    await this.#outlet.flushed();
    this.#time += performance.now() - began;
  }

  /** @returns what could not be read, as it is not there any more */
  async #sendRanges({ inner, proc, left }: Followed, signal: AbortSignal, progress: () => void): Promise<Ranges> {
    const file = openSync(`${proc}/mem`, 'r');
    const gone: { address: number; pages: number }[] = [];
    try {
      for (const range of left) {
        for (let at = 0; at < range.pages; at += MOST_PAGES) {
          signal.throwIfAborted();
          const part = { pid: inner, address: range.address + at * PAGE, pages: Math.min(MOST_PAGES, range.pages - at) };
          const buffer = await this.#outlet.buffer();
          const length = readMemory(file, part, buffer.subarray(HEAD));
          if (length === 0) {
            gone.push(part);
            continue;
          }
          encodeHead(part).copy(buffer);
          this.#outlet.send(buffer.subarray(0, HEAD + length));
          this.total += length;
          progress();
        }
      }
    } finally {
      closeSync(file);
    }
    return gone;
  }
}
