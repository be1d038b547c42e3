import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { libc } from '../../driver/kernel/libc.ts';
import { createPoll } from '../../driver/kernel/poll.ts';
import { Handover } from '../../plugin/criu/handover.ts';
import { createFaults } from '../../plugin/memory/faults.ts';
import { PAGE, type PageRequest } from '../../plugin/memory/page.ts';
import { ordered } from '../../plugin/memory/ranges.ts';
import { type Ahead, NOTHING } from '../../plugin/pager/local.ts';
import { Pager } from '../../plugin/pager/pager.ts';
import { PageStore } from '../../plugin/pager/store.ts';
import { bytesOf, decodeHead, encodeHead, HEAD } from '../../plugin/transfer/pages.ts';
import { Stranger } from '../support/stranger.ts';

const PROGRAM = join(import.meta.dirname, '../fixtures/restored.py');
/** Of an area of the program. */
const PAGES = (8 << 20) / PAGE;

let directory: string;
let program: Stranger;
let areas: number[];
let handover: Handover;
let source: Source;
let events: string[];

beforeEach(async () => {
  directory = mkdtempSync('/tmp/coat-pager-');
  handover = await Handover.listen(directory);
  program = await Stranger.start(PROGRAM, join(directory, 'lazy-pages.socket'));
  areas = JSON.parse(await program.hears()) as number[];
  source = new Source();
  events = [];
});

afterEach(async () => {
  await program.end();
  source.destroy();
  handover.close();
  rmSync(directory, { recursive: true });
});

/** What the program's memory was, as the program knows it. */
function pagesAt({ pid, address, pages }: PageRequest): Buffer {
  return Buffer.concat(Array.from({ length: pages }, (_, i) => Buffer.alloc(PAGE, `${pid}:${address + i * PAGE};`)));
}

/** Gives what somebody waits for, and all else when it is told to. */
class Source extends Duplex {
  #rest = Buffer.alloc(0);
  #held: PageRequest[] | undefined = [];
  asked = 0;

  override _read(): void {
    // what it gives is pushed
  }

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    for (; this.#rest.length >= HEAD; this.#rest = this.#rest.subarray(HEAD)) this.#take(decodeHead(this.#rest));
    done();
  }

  everything(): void {
    for (const request of this.#held ?? []) this.#give(request);
    this.#held = undefined;
  }

  #take(request: PageRequest): void {
    this.asked += bytesOf(request);
    // what is asked for ahead comes in large parts
    if (this.#held && request.pages > 8) this.#held.push(request);
    else this.#give(request);
  }

  #give(request: PageRequest): void {
    this.push(Buffer.concat([encodeHead(request), pagesAt(request)]));
  }
}

/** Begins to fill the program's memory. @param first what the program does, beginning with handing it over @returns what resolves when all of it is in its place */
async function fill(ahead: Ahead = NOTHING, first = 'hand'): Promise<{ whole: Promise<void> }> {
  const c = await libc();
  const load = (): PageStore => new PageStore(new Map([[program.pid, areas.map((address) => ({ address, pages: PAGES }))]]), ahead);
  const pager = new Pager(
    { handover, poll: await createPoll(), open: (fd) => createFaults(c, fd), load },
    { go: () => events.push('go'), here: () => events.push('here') },
  );
  const whole = pager.run();
  whole.catch(() => undefined);
  const done = tell(first);
  pager.connect(source);
  await done;
  return { whole };
}

async function tell(word: string): Promise<void> {
  program.say(`${word}\n`);
  expect([word, await program.hears()]).toEqual([word, 'ok']);
}

describe('memory that is missing', () => {
  test('is there when it is touched, and the rest without that; what never was is empty', async () => {
    const { whole } = await fill();
    await tell('nothing');
    await tell('finish');
    expect(events).toEqual(['go']);
    source.everything();
    await whole;
    expect(events).toEqual(['go', 'here']);
    // nothing comes twice
    expect(source.asked).toBe(areas.length * PAGES * PAGE);
    await tell('whole');
    await tell('nothing');
  });

  test.each(['divide', 'move', 'remove', 'unmap', 'fork'])('is where the program looks for it: %s', async (what) => {
    const { whole } = await fill();
    await tell(what);
    expect(source.asked).toBeLessThan(areas.length * PAGES * PAGE);
    await tell(what === 'divide' || what === 'fork' ? 'fork' : 'nothing');
    await tell('finish');
    source.everything();
    await whole;
    expect(events).toContain('here');
    expect(source.asked).toBe(areas.length * PAGES * PAGE);
  });

  test('is there for a child although its parent has ended', async () => {
    const { whole } = await fill();
    await tell('orphan');
    source.everything();
    await whole;
  });

  test('is not waited for when nobody is there any more', async () => {
    const { whole } = await fill();
    await tell('finish');
    await program.end();
    source.everything();
    await whole;
  });

  test('is given up when the restore has ended too early', async () => {
    const { whole } = await fill();
    await tell('leave');
    await expect(whole).rejects.toThrow('restore');
  });

  test('is given up when the source has it no more', async () => {
    const { whole } = await fill();
    await tell('finish');
    source.push(encodeHead({ pid: program.pid, address: areas[0]!, pages: 0 }));
    await expect(whole).rejects.toThrow('source');
  });
});

describe('memory that came ahead', () => {
  /** All but some pages of the first area. */
  const MISSING = 100;
  const ahead = (): Ahead => ({
    wait: Infinity,
    pages: () => ordered(areas.map((address, i) => (i === 0 ? { address: address + MISSING * PAGE, pages: PAGES - MISSING } : { address, pages: PAGES }))),
    read: (wanted) => pagesAt({ ...wanted, pages: Math.min(wanted.pages, 64) }),
  });

  test('is put in its place when the rest is here, and before anybody touches it', async () => {
    const { whole } = await fill(ahead());
    await turn();
    expect(events).toEqual([]);
    source.everything();
    await expect.poll(() => events).toEqual(['go', 'here']);
    await tell('finish');
    await whole;
    expect(source.asked).toBe(MISSING * PAGE);
    await tell('whole');
  });

  test.each(['move', 'remove', 'unmap', 'fork'])('is where the program looks for it: %s', async (what) => {
    const { whole } = await fill(ahead());
    source.everything();
    await tell(what);
    await tell('finish');
    await whole;
    if (what === 'fork') await tell('whole');
    await tell('nothing');
  });

  test('is where the program looks for it, whatever it moves at that moment, and whoever it has', async () => {
    source.everything();
    const { whole } = await fill(ahead(), 'stir');
    await whole;
    expect(events).toEqual(['go', 'here']);
  });
});
