import { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { lazyRanges, pagemapOf, type PageRange } from '../../../plugin/criu/pagemap.ts';
import { PAGE, type PageRequest } from '../../../plugin/memory/page.ts';
import { Fetcher } from '../../../plugin/pager/fetcher.ts';
import { type Ahead, NOTHING } from '../../../plugin/pager/local.ts';
import { PageStore } from '../../../plugin/pager/store.ts';
import { decodeHead, encodeHead, HEAD, MOST_PAGES } from '../../../plugin/transfer/pages.ts';

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

const START = 0x7000_0000_0000;
/** A page that says where it is from. */
const page = (pid: number, address: number): Buffer => Buffer.alloc(PAGE, `${pid}:${address};`);
const pagesAt = ({ pid, address, pages }: PageRequest): Buffer => Buffer.concat(Array.from({ length: pages }, (_, i) => page(pid, address + i * PAGE)));

interface Stage {
  fetcher: Fetcher;
  store: PageStore;
  failures: string[];
  /** What was said of the memory as a whole. */
  events: string[];
  /** What has come, and whether it was right. */
  came: { request: PageRequest; right: boolean }[];
  connect: () => End;
  /** Requests that have come to the source on this connection. */
  asked: (way: End) => PageRequest[];
}

function stage(processes: Record<number, { address: number; pages: number }[]>, ahead = NOTHING): Stage {
  const [events, failures, came]: [string[], string[], Stage['came']] = [[], [], []];
  const store = new PageStore(new Map(Object.entries(processes).map(([pid, ranges]) => [Number(pid), ranges])), ahead);
  const fetcher = new Fetcher(store, {
    came: (request) => came.push({ request, right: store.here(request)!.equals(pagesAt(request)) }),
    go: () => events.push('go'),
    here: () => events.push('here'),
    failed: (why) => failures.push(why.message),
  });
  return {
    fetcher,
    store,
    failures,
    events,
    came,
    connect() {
      const way = new End();
      fetcher.connect(way);
      return way;
    },
    asked(way) {
      const heard = way.news();
      return Array.from({ length: heard.length / HEAD }, (_, i) => decodeHead(heard.subarray(i * HEAD, (i + 1) * HEAD)));
    },
  };
}

const answer = (request: PageRequest): Buffer => Buffer.concat([encodeHead(request), pagesAt(request)]);

const LARGE = { address: START, pages: 64 * MOST_PAGES };

describe('what is fetched', () => {
  test('of a page that somebody waits for is its neighbours too, and nobody asks for these again', async () => {
    const { fetcher, connect, asked, came, store } = stage({ 1: [LARGE] });
    const way = connect();
    fetcher.want({ pid: 1, address: START + 3 * PAGE, pages: 1 });
    const [request, ...more] = asked(way);
    expect(request).toEqual({ pid: 1, address: START, pages: 8 });
    expect(more).toEqual([]);
    fetcher.want({ pid: 1, address: START + 5 * PAGE, pages: 1 });
    way.push(answer(request!));
    await turn();
    expect(came).toEqual([{ request, right: true }]);
    expect(asked(way)).toEqual([]);
    expect(store.here({ pid: 1, address: START + 5 * PAGE, pages: 100 })!.equals(pagesAt({ pid: 1, address: START + 5 * PAGE, pages: 3 }))).toBe(true);
    expect(store.here({ pid: 1, address: START + 8 * PAGE, pages: 1 })).toBeUndefined();
  });

  test('is asked for again on the next connection where it has not come, also when a part of it has', async () => {
    const { fetcher, connect, asked, came, failures } = stage({ 1: [LARGE] });
    const first = connect();
    fetcher.want({ pid: 1, address: START, pages: 1 });
    const [request] = asked(first);
    first.push(answer(request!).subarray(0, 1000));
    await turn();
    first.destroy();
    await turn();
    const second = connect();
    expect(asked(second)).toEqual([request]);
    second.push(answer(request!));
    await turn();
    expect(came.map(({ right }) => right)).toEqual([true]);
    expect(failures).toEqual([]);
  });

  const small = (number: number, pages = 3): PageRange => ({ address: START + (LARGE.pages + number * 100) * PAGE, pages });

  test('is small ranges before anybody asks, and all the others when the container runs', async () => {
    const { fetcher, connect, asked } = stage({ 1: [LARGE, small(1), small(2), small(3)] });
    const way = connect();
    expect(asked(way)).toEqual([1, 2, 3].map((number) => ({ pid: 1, ...small(number) })));
    fetcher.runs();
    fetcher.want({ pid: 1, address: START, pages: 1 });
    const all: PageRequest[] = [];
    await expect.poll(() => all.push(...asked(way)) && all.length).toBeGreaterThan(4);
    expect(all.map(({ address }) => (address - START) / PAGE).slice(0, 5)).toEqual([0, 8, 64, 128, 192]);
  });

  test('is little at a time, and nothing ahead while the container begins to run', async () => {
    const { fetcher, connect, asked } = stage({ 1: [LARGE, ...[1, 2, 3, 4, 5].map((number) => small(number, 60))] });
    const way = connect();
    const early = asked(way);
    expect(early.map(({ address }) => address)).toEqual([1, 2, 3].map((number) => small(number).address));
    const come = async (request: PageRequest): Promise<void> => {
      way.push(answer(request));
      await turn();
    };
    await come(early[0]!);
    expect(asked(way)).toEqual([{ pid: 1, ...small(4, 60) }]);
    fetcher.runs();
    fetcher.want({ pid: 1, address: START, pages: 1 });
    expect(asked(way)).toEqual([{ pid: 1, address: START, pages: 8 }]);
    await come(early[1]!);
    await come(early[2]!);
    expect(asked(way)).toEqual([]);
  });

  test('is in few pages at a time until the container has begun, none twice, and none left out', async () => {
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

  test('is given up when the source has the memory no more', async () => {
    const { fetcher, connect, asked, failures } = stage({ 1: [LARGE] });
    const way = connect();
    fetcher.want({ pid: 1, address: START, pages: 1 });
    way.push(encodeHead({ ...asked(way)[0]!, pages: 0 }));
    await turn();
    expect(failures).toEqual([expect.stringMatching(/source/)]);
  });
});

describe('what is fetched of memory that came ahead', () => {
  const [FROM, TO] = [10, 30];
  /** All pages of the large range but some. */
  const ahead = (wait: number): Ahead => ({
    wait,
    pages: () => [{ address: START, pages: FROM }, { address: START + TO * PAGE, pages: LARGE.pages - TO }],
    read: pagesAt,
  });
  const MISSING = { pid: 1, address: START + FROM * PAGE, pages: TO - FROM };

  test('is all that is missing before the container runs, and then the source is needed no more', async () => {
    const { store, connect, asked, came, events } = stage({ 1: [LARGE] }, ahead(Infinity));
    const way = connect();
    expect(asked(way)).toEqual([MISSING]);
    expect(events).toEqual([]);
    way.push(answer(MISSING));
    await turn();
    expect(came).toEqual([{ request: MISSING, right: true }]);
    expect(events).toEqual(['go', 'here']);
    for (let page = 0; page < LARGE.pages; ) {
      const data = store.here({ pid: 1, address: START + page * PAGE, pages: LARGE.pages - page })!;
      expect(data.equals(pagesAt({ pid: 1, address: START + page * PAGE, pages: data.length / PAGE }))).toBe(true);
      page += data.length / PAGE;
    }
    expect(asked(way)).toEqual([]);
  });

  test('comes when the container runs, where it would have to wait for too much', async () => {
    const { fetcher, connect, asked, events } = stage({ 1: [LARGE] }, ahead((TO - FROM - 1) * PAGE));
    const way = connect();
    expect(events).toEqual(['go']);
    expect(asked(way)).toEqual([MISSING]);
    fetcher.want({ pid: 1, address: MISSING.address, pages: 1 });
    expect(asked(way)).toEqual([]);
    way.push(answer(MISSING));
    await turn();
    expect(events).toEqual(['go', 'here']);
  });

  test('is nothing where nothing is missing', () => {
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
