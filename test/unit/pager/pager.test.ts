import { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { lazyRanges, pagemapOf, type PageRange } from '../../../plugin/criu/pagemap.ts';
import { PAGE, type PageRequest, REQUEST_LENGTH } from '../../../plugin/criu/pageserver.ts';
import { Pager } from '../../../plugin/pager/pager.ts';
import { type Ahead, NOTHING } from '../../../plugin/pager/local.ts';
import { PageStore } from '../../../plugin/pager/store.ts';
import { decodeHead, encodeHead, HEAD, Messages, MOST_PAGES } from '../../../plugin/transfer/pages.ts';

/** One end of a connection, of which a test sees and says the other. */
class End extends Duplex {
  heard = Buffer.alloc(0);

  override _read(): void {
    // what the other side says is pushed
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.heard = Buffer.concat([this.heard, chunk]);
    done();
  }

  /** What was said since it was last asked. */
  news(): Buffer {
    const heard = this.heard;
    this.heard = Buffer.alloc(0);
    return heard;
  }
}

/** What CRIU says for some pages (criu/include/page-xfer.h). */
function want({ pid, address, pages }: PageRequest): Buffer {
  const bytes = Buffer.alloc(REQUEST_LENGTH);
  bytes.writeUInt32LE(7, 0);
  bytes.writeBigUInt64LE(BigInt(pages), 8);
  bytes.writeBigUInt64LE(BigInt(address), 16);
  bytes.writeBigUInt64LE(BigInt(pid), 24);
  return bytes;
}

const START = 0x7000_0000_0000;
/** A page that says where it is from. */
const page = (pid: number, address: number): Buffer => Buffer.alloc(PAGE, `${pid}:${address};`);
const pagesAt = ({ pid, address, pages }: PageRequest): Buffer => Buffer.concat(Array.from({ length: pages }, (_, i) => page(pid, address + i * PAGE)));

interface Stage {
  criu: End;
  failures: string[];
  /** What was said of the memory as a whole. */
  events: string[];
  pager: Pager;
  connect: () => End;
  /** Requests that have come to the source on this connection. */
  asked: (way: End) => PageRequest[];
  /** What CRIU was given, taken apart. */
  given: () => { request: PageRequest; right: boolean }[];
}

function stage(processes: Record<number, { address: number; pages: number }[]>, ahead = NOTHING): Stage {
  const events: string[] = [];
  const criu = new End();
  const failures: string[] = [];
  const load = (): PageStore => new PageStore(new Map(Object.entries(processes).map(([pid, ranges]) => [Number(pid), ranges])), ahead);
  const pager = new Pager(criu, { load, go: () => events.push('go'), here: () => events.push('here'), reached: () => undefined, failed: (why) => failures.push(why.message) });
  return {
    criu,
    failures,
    events,
    pager,
    connect() {
      const way = new End();
      pager.connect(way);
      return way;
    },
    asked(way) {
      const heard = way.news();
      return Array.from({ length: heard.length / HEAD }, (_, i) => decodeHead(heard.subarray(i * HEAD, (i + 1) * HEAD)));
    },
    given() {
      const answers: { request: PageRequest; right: boolean }[] = [];
      const head = (bytes: Buffer): PageRequest => ({ pages: Number(bytes.readBigUInt64LE(8)), address: Number(bytes.readBigUInt64LE(16)), pid: Number(bytes.readBigUInt64LE(24)) });
      new Messages(REQUEST_LENGTH, head, ({ pages }) => pages * PAGE, (request, data) => answers.push({ request, right: data.equals(pagesAt(request)) })).take(criu.news());
      return answers;
    },
  };
}

const LARGE = { address: START, pages: 64 * MOST_PAGES };

describe('the pager', () => {
  test('brings what a process waits for, with its neighbours, and gives these without asking again', async () => {
    const { criu, connect, asked, given } = stage({ 1: [LARGE] });
    const way = connect();
    criu.push(want({ pid: 1, address: START + 3 * PAGE, pages: 1 }));
    await turn();
    const [request, ...more] = asked(way);
    expect(request).toEqual({ pid: 1, address: START, pages: 8 });
    expect(more).toEqual([]);
    way.push(Buffer.concat([encodeHead(request!), pagesAt(request!)]));
    await turn();
    expect(given()).toEqual([{ request: { pid: 1, address: START + 3 * PAGE, pages: 1 }, right: true }]);
    criu.push(want({ pid: 1, address: START + 5 * PAGE, pages: 1 }));
    await turn();
    expect(given()).toEqual([{ request: { pid: 1, address: START + 5 * PAGE, pages: 1 }, right: true }]);
    expect(asked(way)).toEqual([]);
  });

  test('answers in the order in which it was asked', async () => {
    const { criu, connect, asked, given } = stage({ 1: [LARGE], 2: [LARGE] });
    const way = connect();
    criu.push(want({ pid: 1, address: START, pages: 1 }));
    criu.push(want({ pid: 2, address: START, pages: 1 }));
    await turn();
    const [first, second] = asked(way);
    way.push(Buffer.concat([encodeHead(second!), pagesAt(second!)]));
    await turn();
    expect(given()).toEqual([]);
    way.push(Buffer.concat([encodeHead(first!), pagesAt(first!)]));
    await turn();
    expect(given().map(({ request, right }) => [request.pid, right])).toEqual([[1, true], [2, true]]);
  });

  test('asks again on the next connection for what has not come, also when a part of it has', async () => {
    const { criu, connect, asked, given, failures } = stage({ 1: [LARGE] });
    const first = connect();
    criu.push(want({ pid: 1, address: START, pages: 1 }));
    await turn();
    const [request] = asked(first);
    first.push(Buffer.concat([encodeHead(request!), pagesAt(request!).subarray(0, 1000)]));
    await turn();
    first.destroy();
    await turn();
    const second = connect();
    expect(asked(second)).toEqual([request]);
    second.push(Buffer.concat([encodeHead(request!), pagesAt(request!)]));
    await turn();
    expect(given().map(({ right }) => right)).toEqual([true]);
    expect(failures).toEqual([]);
  });

  const small = (number: number, pages = 3): PageRange => ({ address: START + (LARGE.pages + number * 100) * PAGE, pages });

  test('fetches small ranges before anybody asks, and all the others when the container runs', async () => {
    const { criu, connect, asked } = stage({ 1: [LARGE, small(1), small(2), small(3)] });
    const way = connect();
    expect(asked(way)).toEqual([1, 2, 3].map((number) => ({ pid: 1, ...small(number) })));
    criu.push(want({ pid: 1, address: START, pages: 16 }));
    const all: PageRequest[] = [];
    await expect.poll(() => all.push(...asked(way)) && all.length).toBeGreaterThan(4);
    expect(all.map(({ address }) => (address - START) / PAGE).slice(0, 5)).toEqual([0, 8, 64, 128, 192]);
  });

  test('has few pages on their way, and fetches none ahead while the container begins to run', async () => {
    const { criu, connect, asked } = stage({ 1: [LARGE, ...[1, 2, 3, 4, 5].map((number) => small(number, 60))] });
    const way = connect();
    const early = asked(way);
    expect(early.map(({ address }) => address)).toEqual([1, 2, 3].map((number) => small(number).address));
    const come = async (request: PageRequest): Promise<void> => {
      way.push(Buffer.concat([encodeHead(request), pagesAt(request)]));
      await turn();
    };
    await come(early[0]!);
    expect(asked(way)).toEqual([{ pid: 1, ...small(4, 60) }]);
    criu.push(want({ pid: 1, address: START, pages: 16 }));
    await turn();
    expect(asked(way)).toEqual([{ pid: 1, address: START, pages: 8 }]);
    await come(early[1]!);
    await come(early[2]!);
    expect(asked(way)).toEqual([]);
  });

  test('asks for few pages at a time until the container has begun, for none twice, and leaves none out', async () => {
    const LAST = { address: START, pages: 2 * MOST_PAGES + 5 };
    const store = new PageStore(new Map([[1, [{ ...LAST, pages: 64 * MOST_PAGES }]], [2, [LAST]]]));
    for (const page of [3, 9, 63, 64, 2 * MOST_PAGES + 4]) store.narrow({ pid: 2, address: START + page * PAGE, pages: 1 }, 8);
    const found: [page: number, pages: number][] = [];
    for (let page = 0; page < LAST.pages; ) {
      const { address, pages } = store.find({ pid: 2, address: START + page * PAGE, pages: 1 });
      expect(address).toBe(START + page * PAGE);
      found.push([page, pages]);
      page += pages;
    }
    expect(found).toEqual([[0, 8], [8, 8], [16, 40], [56, 8], [64, 8], [72, 56], [128, 5]]);
    const ahead: number[] = [];
    for (let next = store.nextAway(); next; next = store.nextAway()) {
      next.state = 'asked';
      if (next.pid === 2) ahead.push((next.address - START) / PAGE);
    }
    expect(ahead).toEqual(found.map(([page]) => page));
  });

  test('gives twice what is wanted twice, as of a process that has forked', async () => {
    const { criu, connect, asked, given } = stage({ 1: [{ address: START, pages: 2 }] });
    const way = connect();
    for (let time = 0; time < 2; time++) {
      criu.push(want({ pid: 1, address: START, pages: 2 }));
      await turn();
      const [request] = asked(way);
      expect(request).toEqual({ pid: 1, address: START, pages: 2 });
      way.push(Buffer.concat([encodeHead(request!), pagesAt(request!)]));
      await turn();
      expect(given().map(({ right }) => right)).toEqual([true]);
    }
  });

  test('gives up when the source has the memory no more', async () => {
    const { criu, connect, asked, failures } = stage({ 1: [LARGE] });
    const way = connect();
    criu.push(want({ pid: 1, address: START, pages: 1 }));
    await turn();
    way.push(encodeHead({ ...asked(way)[0]!, pages: 0 }));
    await turn();
    expect(failures).toEqual([expect.stringMatching(/source/)]);
  });
});

describe('the pager, of memory that came ahead,', () => {
  const [FROM, TO] = [10, 30];
  /** All pages of the large range but some. */
  const ahead = (wait: number): Ahead => ({
    wait,
    pages: () => [{ address: START, pages: FROM }, { address: START + TO * PAGE, pages: LARGE.pages - TO }],
    read: pagesAt,
  });
  const MISSING = { pid: 1, address: START + FROM * PAGE, pages: TO - FROM };

  test('fetches what is missing before the container runs, and needs the source no more then', async () => {
    const { criu, connect, asked, given, events } = stage({ 1: [LARGE] }, ahead(Infinity));
    const way = connect();
    expect(asked(way)).toEqual([MISSING]);
    expect(events).toEqual([]);
    way.push(Buffer.concat([encodeHead(MISSING), pagesAt(MISSING)]));
    await turn();
    expect(events).toEqual(['go', 'here']);
    // twice, as of a process that has forked
    for (let time = 0; time < 2; time++) {
      for (let page = 0; page < LARGE.pages; ) {
        criu.push(want({ pid: 1, address: START + page * PAGE, pages: LARGE.pages - page }));
        await turn();
        const answers = given();
        expect(answers.map(({ right }) => right)).toEqual([true]);
        page += answers[0]!.request.pages;
      }
    }
    expect(asked(way)).toEqual([]);
  });

  test('lets it run at once where it would have to wait for too much', async () => {
    const { criu, connect, asked, given, events } = stage({ 1: [LARGE] }, ahead((TO - FROM - 1) * PAGE));
    const way = connect();
    expect(events).toEqual(['go']);
    criu.push(want({ pid: 1, address: START, pages: 1 }));
    await turn();
    expect(given().map(({ right }) => right)).toEqual([true]);
    const [request] = asked(way);
    expect(request).toEqual(MISSING);
    way.push(Buffer.concat([encodeHead(MISSING), pagesAt(MISSING)]));
    await turn();
    expect(events).toEqual(['go', 'here']);
  });

  test('lets it run at once where nothing is missing', () => {
    const { connect, asked, events } = stage({ 1: [{ address: START, pages: FROM }] }, ahead(Infinity));
    expect(asked(connect())).toEqual([]);
    expect(events).toEqual(['go', 'here']);
  });
});

describe('a page map of CRIU', () => {
  const varint = (value: number): number[] => (value < 0x80 ? [value] : [(value % 128) | 0x80, ...varint(Math.floor(value / 128))]);
  const message = (fields: Record<number, number>): Buffer => {
    const body = Buffer.from(Object.entries(fields).flatMap(([field, value]) => [...varint(Number(field) * 8), ...varint(value)]));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(body.length);
    return Buffer.concat([length, body]);
  };
  const image = (...entries: Record<number, number>[]): Buffer => Buffer.concat([Buffer.alloc(8), message({ 1: 1 }), ...entries.map(message)]);

  test('says which pages were left behind', () => {
    expect(lazyRanges(image({ 1: START, 2: 3, 4: 2, 5: 3 }, { 1: START + 0x10000, 2: 9, 4: 4 }, { 1: START + 0x20000, 2: 7, 4: 2 }))).toEqual([
      { address: START, pages: 3 },
      { address: START + 0x20000, pages: 7 },
    ]);
    expect(lazyRanges(image())).toEqual([]);
  });

  test('that ends too early is an error', () => {
    expect(() => lazyRanges(image({ 1: START, 2: 3, 4: 2 }).subarray(0, -1))).toThrow();
  });

  test('has the process in its name', () => {
    expect(['pagemap-17.img', 'pagemap-shmem-17.img', 'pages-1.img'].map(pagemapOf)).toEqual([17, undefined, undefined]);
  });
});
