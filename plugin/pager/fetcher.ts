import type { Duplex } from 'node:stream';
import type { PageRequest } from '../memory/page.ts';
import { bytesOf, decodeHead, encodeHead, HEAD, Messages, MOST_PAGES } from '../transfer/pages.ts';
import type { Chunk, PageStore } from './store.ts';

/** So many pages are on their way at a time that nobody waits for, or, where the container waits for `all`, everybody. One that somebody waits for comes behind them, so they are few, and none while the container begins to run. */
const AHEAD = { early: 2 * MOST_PAGES, all: 16 * MOST_PAGES, no: 0, later: 6 * MOST_PAGES };
/**
 * CRIU lets the container go in this time, ms, and it touches what it needs first: what the processors do meanwhile would make it stand still longer,
 * and a page that it waits for would come behind what was asked for ahead.
 */
const AHEAD_AFTER_MS = 200;

/** Until then so many neighbours travel with a page at most: 32 KiB are there in a fraction of the time that 256 take, and a program that begins to run touches here and there. */
const NARROW = 8;

export interface FetcherEffects {
  /** These are here now. */
  came(pages: PageRequest): void;
  /** The container may run: what is missing is here, or may come later. */
  go(): void;
  /** All memory is on this host: the source is needed no more. */
  here(): void;
  /** It cannot go on. */
  failed(why: Error): void;
}

/**
 * Asks the source for what is not on this host: what somebody waits for, and the rest ahead. Connections may break: what was asked
 * for and has not come then is asked for again on the next.
 */
export class Fetcher {
  readonly #store: PageStore;
  readonly #effects: FetcherEffects;
  #way: Duplex | undefined;
  /** Pages that have been asked for on this connection and have not come. */
  #underWay = 0;
  /** What is fetched that nobody has asked for: the little that the container will want first, nothing, or everything. */
  #ahead: keyof typeof AHEAD;
  #whole = false;

  constructor(store: PageStore, effects: FetcherEffects) {
    this.#store = store;
    this.#effects = effects;
    this.#ahead = store.waits ? 'all' : 'early';
    if (!store.waits) effects.go();
    this.#look();
  }

  /** From now on pages are asked for here. */
  connect(way: Duplex): void {
    this.#way?.destroy();
    this.#way = way;
    const answers = new Messages(HEAD, decodeHead, bytesOf, (head, data) => this.#came(head, data));
    way.on('data', (bytes: Buffer) => this.#tried(() => answers.take(bytes)));
    way.on('error', () => undefined);
    way.on('close', () => {
      if (this.#way === way) this.#way = undefined;
    });
    this.#underWay = 0;
    this.#tried(() => {
      for (const chunk of this.#store.asked()) this.#send(chunk);
      this.#askAhead();
      if (this.#whole) way.end();
    });
  }

  /** Somebody waits for this page. */
  want(request: PageRequest): void {
    if (this.#ahead !== 'later') this.#store.narrow(request, NARROW);
    const chunk = this.#store.find(request);
    if (chunk.state === 'away') this.#ask(chunk);
  }

  /** The container begins to run. */
  runs(): void {
    this.#ahead = 'no';
    setTimeout(() => this.#tried(() => {
      this.#ahead = 'later';
      this.#askAhead();
    }), AHEAD_AFTER_MS);
  }

  #tried(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#effects.failed(error as Error);
    }
  }

  #look(): void {
    if (this.#whole || !this.#store.whole) return;
    this.#whole = true;
    if (this.#store.waits) this.#effects.go();
    this.#effects.here();
    this.#way?.end();
  }

  #came(head: PageRequest, data: Buffer): void {
    if (head.pages === 0) throw new Error('the source does not have the pages any more');
    const chunk = this.#store.find(head);
    this.#underWay -= chunk.pages;
    this.#askAhead();
    // asked for twice, on two connections
    if (chunk.state !== 'asked') return;
    this.#store.came(chunk, data);
    this.#effects.came({ pid: chunk.pid, address: chunk.address, pages: chunk.pages });
    this.#look();
  }

  #askAhead(): void {
    while (this.#way && this.#underWay < AHEAD[this.#ahead]) {
      const next = this.#store.nextAway(this.#ahead === 'early');
      if (!next) return;
      this.#ask(next);
    }
  }

  #ask(chunk: Chunk): void {
    chunk.state = 'asked';
    this.#send(chunk);
  }

  #send(chunk: Chunk): void {
    if (!this.#way) return;
    this.#underWay += chunk.pages;
    this.#way.write(encodeHead(chunk));
  }
}
