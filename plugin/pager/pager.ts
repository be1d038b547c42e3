import type { Duplex } from 'node:stream';
import { answerHead, closeAnswer, type PageRequest, readRequest, REQUEST_LENGTH } from '../criu/pageserver.ts';
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

export interface PagerEffects {
  /** Which pages there are; asked when CRIU's images are there. */
  load(): PageStore;
  /** The container may run: what is missing is here, or may come later. */
  go(): void;
  /** All memory is on this host: the source is needed no more. */
  here(): void;
  /** CRIU begins to fetch what no process waits for, a moment before the container runs; and then it runs. */
  reached(what: 'background' | 'running'): void;
  /** It cannot go on; nothing more is answered then. */
  failed(why: Error): void;
}

/**
 * Stands between `criu lazy-pages` and the hosts' agents: CRIU never notices that a connection broke, as it would give up, and the
 * kernel would fill the missing pages with zeroes. What was asked for and has not come when a connection breaks is asked for
 * again on the next.
 */
export class Pager {
  readonly #criu: Duplex;
  readonly #effects: PagerEffects;
  #loaded: PageStore | undefined;
  /** What CRIU wants, which must be answered in this order. */
  readonly #wanted: PageRequest[] = [];
  #way: Duplex | undefined;
  #start: NodeJS.Timeout | undefined;
  /** Pages that have been asked for on this connection and have not come. */
  #underWay = 0;
  /** What is fetched that nobody has asked for: the little that the container will want first, nothing, or everything. */
  #ahead: keyof typeof AHEAD = 'early';
  #whole = false;

  constructor(criu: Duplex, effects: PagerEffects) {
    this.#criu = criu;
    this.#effects = effects;
    const requests = new Messages(REQUEST_LENGTH, readRequest, () => 0, (request) => this.#want(request));
    criu.on('data', (bytes: Buffer) => this.#tried(() => requests.take(bytes)));
    criu.on('error', () => undefined);
  }

  get #store(): PageStore {
    if (this.#loaded) return this.#loaded;
    this.#loaded = this.#effects.load();
    if (this.#loaded.waits) this.#ahead = 'all';
    else this.#effects.go();
    this.#look();
    return this.#loaded;
  }

  /** From now on pages are asked for here. CRIU's images must be there. */
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

  #tried(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#effects.failed(error as Error);
    }
  }

  #want(request: PageRequest | 'close'): void {
    if (request === 'close') {
      this.#criu.write(closeAnswer());
      return;
    }
    this.#wanted.push(request);
    this.#askFor(request);
    // a fault is for one page
    if (request.pages > 1 && !this.#start) {
      this.#ahead = 'no';
      this.#effects.reached('background');
      this.#start = setTimeout(() => this.#tried(() => this.#runs()), AHEAD_AFTER_MS);
    }
    this.#answer();
  }

  #look(): void {
    if (this.#whole || !this.#loaded?.whole) return;
    this.#whole = true;
    if (this.#loaded.waits) this.#effects.go();
    this.#effects.here();
    this.#way?.end();
  }

  #runs(): void {
    this.#effects.reached('running');
    this.#ahead = 'later';
    this.#askAhead();
  }

  #came(head: PageRequest, data: Buffer): void {
    if (head.pages === 0) throw new Error('the source does not have the pages any more');
    const chunk = this.#store.find(head);
    // asked for twice, on two connections
    if (chunk.state === 'asked') this.#store.came(chunk, data);
    this.#underWay -= chunk.pages;
    this.#askAhead();
    this.#answer();
    this.#look();
  }

  #answer(): void {
    for (let first = this.#wanted[0]; first; first = this.#wanted[0]) {
      const chunk = this.#askFor(first);
      if (chunk.state !== 'here') return;
      this.#wanted.shift();
      const { head, data } = this.#store.give(chunk, first);
      this.#criu.cork();
      this.#criu.write(answerHead(head));
      this.#criu.write(data);
      this.#criu.uncork();
    }
  }

  #askAhead(): void {
    while (this.#way && this.#underWay < AHEAD[this.#ahead]) {
      const next = this.#store.nextAway(this.#ahead === 'early');
      if (!next) return;
      this.#ask(next);
    }
  }

  #askFor(request: PageRequest): Chunk {
    if (this.#ahead !== 'later') this.#store.narrow(request, NARROW);
    const chunk = this.#store.find(request);
    this.#ask(chunk);
    return chunk;
  }

  #ask(chunk: Chunk): void {
    if (chunk.state === 'asked' || chunk.state === 'here') return;
    chunk.state = 'asked';
    this.#send(chunk);
  }

  #send(chunk: Chunk): void {
    if (!this.#way) return;
    this.#underWay += chunk.pages;
    this.#way.write(encodeHead(chunk));
  }
}
