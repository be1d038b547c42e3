import type { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import type { Poll } from '../../driver/kernel/poll.ts';
import type { Handed } from '../criu/handover.ts';
import type { Faults } from '../memory/faults.ts';
import type { PageRequest } from '../memory/page.ts';
import { Fetcher } from './fetcher.ts';
import { Placer } from './placer.ts';
import type { PageStore } from './store.ts';

/** Until memory that has no place yet is tried again, ms. */
const AGAIN_MS = 2;
/** Between two looks at what is done, ms. */
const LOOK_MS = 50;
/** For so long at most nothing else has its turn, where nothing else is expected, ms: a page is there sooner when no thread has to be woken for it. */
const ALONE_MS = 10;

export interface PagerParts {
  /** Processes come from there. */
  handover: { readonly fd: number; take(): Handed | undefined; close(): void };
  poll: Poll;
  /** @param fd of a process that was handed over, or of its child */
  open(fd: number): Faults;
  /** Which pages there are; asked when CRIU's images are there. */
  load(): PageStore;
}

export interface PagerEffects {
  /** The container may run: what is missing is here, or may come later. */
  go(): void;
  /** All memory is on this host: the source is needed no more. */
  here(): void;
}

interface Work {
  store: PageStore;
  placer: Placer;
  fetcher: Fetcher;
}

/** Brings the memory of a container that is restored without it. */
export class Pager {
  readonly #parts: PagerParts;
  readonly #effects: PagerEffects;
  #work: Work | undefined;
  /** Whether nothing could be put in its place the last time. */
  #stuck = false;
  #failure: Error | undefined;

  constructor(parts: PagerParts, effects: PagerEffects) {
    this.#parts = parts;
    this.#effects = effects;
  }

  /** From now on pages are asked for here. CRIU's images must be there. */
  connect(way: Duplex): void {
    this.#begin().fetcher.connect(way);
  }

  /** @returns when all memory is in its place. @throws Error where it cannot get there any more */
  async run(): Promise<void> {
    while (this.#work?.placer.done !== true) {
      const ready = await this.#ready();
      if (this.#failure) throw this.#failure;
      if (ready.includes(this.#parts.handover.fd)) this.#handed(this.#parts.handover.take());
      this.#work?.placer.answer(ready);
      this.#stuck = this.#work?.placer.goOn() === false;
      this.#work?.placer.release();
      await turn();
    }
  }

  /** Which descriptors have something. */
  async #ready(): Promise<number[]> {
    const { handover, poll } = this.#parts;
    const placer = this.#work?.placer;
    const descriptors = [...(handover.fd < 0 ? [] : [handover.fd]), ...(placer?.descriptors ?? [])];
    if (this.#stuck) return poll.later(descriptors, AGAIN_MS);
    if (placer?.busy) return poll.now(descriptors, 0);
    return this.#work?.store.whole ? poll.now(descriptors, ALONE_MS) : poll.later(descriptors, LOOK_MS);
  }

  #handed(handed: Handed | undefined): void {
    if (handed === undefined) return;
    if (handed === 'ended') throw new Error('the restore has ended');
    const { placer, fetcher } = this.#begin();
    if (handed !== 'finished') return placer.attach(handed.pid, this.#parts.open(handed.fd));
    this.#parts.handover.close();
    placer.run();
    fetcher.runs();
  }

  #begin(): Work {
    return (this.#work ??= this.#made(this.#parts.load()));
  }

  #made(store: PageStore): Work {
    // they know of each other only when something comes, and when something is wanted
    const source = {
      here: (wanted: PageRequest) => store.here(wanted),
      placed: (pages: PageRequest) => store.placed(pages),
      want: (pid: number, address: number) => fetcher.want({ pid, address, pages: 1 }),
    };
    const placer = new Placer(source, { memory: store.memory, here: store.local, open: (fd) => this.#parts.open(fd) });
    const fetcher: Fetcher = new Fetcher(store, {
      came: (pages) => placer.came(pages),
      go: () => this.#effects.go(),
      here: () => this.#effects.here(),
      failed: (why) => (this.#failure = why),
    });
    return { store, placer, fetcher };
  }
}
