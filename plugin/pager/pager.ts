import type { Duplex } from 'node:stream';
import { answerHead, closeAnswer, type PageRequest, readRequest, REQUEST_LENGTH } from '../criu/pageserver.ts';
import { bytesOf, decodeHead, encodeHead, HEAD, Messages } from '../transfer/pages.ts';
import type { Chunk, PageStore } from './store.ts';

/** So many chunks are asked for ahead of CRIU. A page that somebody waits for comes behind them, so they are few, and fewer while the container begins to run. */
const AHEAD = { early: 2, no: 0, later: 6 };
/**
 * CRIU lets the container go in this time, ms, and it touches what it needs first: what the processors do meanwhile would make it stand still longer,
 * and a page that it waits for would come behind what was asked for ahead.
 */
const AHEAD_AFTER_MS = 200;

export interface PagerEffects {
  /** Which pages there are; asked when CRIU's images are there. */
  load(): PageStore;
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
  /** What is fetched that nobody has asked for: the little that the container will want first, nothing, or everything. */
  #ahead: keyof typeof AHEAD = 'early';

  constructor(criu: Duplex, effects: PagerEffects) {
    this.#criu = criu;
    this.#effects = effects;
    const requests = new Messages(REQUEST_LENGTH, readRequest, () => 0, (request) => this.#want(request));
    criu.on('data', (bytes: Buffer) => this.#tried(() => requests.take(bytes)));
    criu.on('error', () => undefined);
  }

  get #store(): PageStore {
    return (this.#loaded ??= this.#effects.load());
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
    this.#tried(() => {
      const asked = this.#store.asked();
      for (const chunk of asked) this.#send(chunk);
      if (asked.length === 0) this.#askAhead();
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
    const chunk = this.#store.find(request);
    // a fault is for one page: somebody runs, and nothing may be in the way of what it wants
    if (request.pages === 1 && this.#ahead === 'early' && chunk.state !== 'here') this.#ahead = 'no';
    this.#ask(chunk);
    if (request.pages > 1 && !this.#start) {
      this.#effects.reached('background');
      this.#start = setTimeout(() => this.#tried(() => this.#runs()), AHEAD_AFTER_MS);
    }
    this.#answer();
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
    this.#askNext();
    this.#answer();
  }

  #answer(): void {
    for (let first = this.#wanted[0]; first; first = this.#wanted[0]) {
      const chunk = this.#store.find(first);
      this.#ask(chunk);
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
    for (let i = 0; i < AHEAD[this.#ahead]; i++) this.#askNext();
  }

  #askNext(): void {
    const next = this.#ahead === 'no' ? undefined : this.#store.nextAway(this.#ahead === 'early');
    if (next) this.#ask(next);
  }

  #ask(chunk: Chunk): void {
    if (chunk.state === 'asked' || chunk.state === 'here') return;
    chunk.state = 'asked';
    this.#send(chunk);
  }

  #send(chunk: Chunk): void {
    this.#way?.write(encodeHead(chunk));
  }
}
