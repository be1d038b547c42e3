import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { PAGE } from '../../plugin/memory/page.ts';
import { createHostSide } from '../../plugin/criu/host.ts';
import { type AheadImage, pagesOf } from '../../plugin/memory/ahead.ts';
import { areasOf } from '../../plugin/memory/areas.ts';
import { whyNotAhead } from '../../plugin/memory/features.ts';
import { PageIntake } from '../../plugin/memory/intake.ts';
import { MemorySender } from '../../plugin/memory/sender.ts';
import { silent } from '../../driver/host/log.ts';
import { Stranger } from '../support/stranger.ts';

const PROGRAM = join(import.meta.dirname, '../fixtures/restless.py');
const forever = new AbortController().signal;

let directory: string;
let program: Stranger;
let pid: number;
let sender: MemorySender;
let intake: PageIntake;

beforeEach(async () => {
  // a page lies at its own address, which only a tmpfs has room for
  directory = mkdtempSync('/dev/shm/coat-memory-');
  program = await Stranger.start(PROGRAM);
  ({ pid } = program);
  intake = new PageIntake(directory);
  const way = new Writable({ write: (bytes: Buffer, _, next) => next(void intake.take(bytes)) });
  sender = new MemorySender(createHostSide(''), silent, async () => [pid], way);
});

afterEach(async () => {
  sender.close();
  intake.close();
  await program.end();
  rmSync(directory, { recursive: true });
});

async function tell(word: string): Promise<void> {
  program.say(`${word}\n`);
  await program.hears();
}

async function stop(): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  await until('it to stop', async () => /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')));
}

function pageOf(path: string, address: number): Buffer {
  const page = Buffer.alloc(PAGE);
  const file = openSync(path, 'r');
  try {
    readSync(file, page, 0, PAGE, address);
  } finally {
    closeSync(file);
  }
  return page;
}

/** Of what need not be asked for, how many pages there are, and those that are not what the process has. Pages of zeroes are never asked for. */
function compare(image: AheadImage): { pages: number; wrong: string[] } {
  const wrong: string[] = [];
  let count = 0;
  const areas = areasOf(`/proc/${pid}`);
  const there = (address: number): boolean => areas.some((area) => address >= area.address && address < area.address + area.pages * PAGE);
  for (const { address, pages } of pagesOf(image, pid)) {
    for (let at = address; at < address + pages * PAGE; at += PAGE) {
      if (!there(at)) continue;
      const here = pageOf(`/proc/${pid}/mem`, at);
      if (here.every((byte) => byte === 0)) continue;
      count += 1;
      if (!here.equals(pageOf(join(directory, String(pid)), at))) wrong.push(at.toString(16));
    }
  }
  return { pages: count, wrong };
}

const MiB = 2 ** 20 / PAGE;

describe('memory that is sent ahead', () => {
  test('can be, here', async () => {
    expect(await whyNotAhead()).toBeUndefined();
  });

  test.each<[string, string[], string[], number]>([
    ['of a program that does nothing', [], [], 128 * MiB],
    ['that it writes to', ['write'], ['write'], 127 * MiB],
    ['that it gets meanwhile', ['grow'], ['grow'], 136 * MiB],
    ['that lies somewhere else meanwhile, with other memory in its place', ['remap'], ['remap'], 96 * MiB],
    ['that it gives back', ['drop'], ['write', 'drop'], 95 * MiB],
    ['that it shares with its children', ['fork'], ['fork'], 127 * MiB],
    ['of a program that becomes another', ['write', 'exec'], [], 0],
    ['of one that becomes another at the end', ['write'], ['exec'], 0],
  ])('%s', async (_, between, afterwards, least) => {
    await sender.rounds(forever, () => undefined);
    for (const word of between) await tell(word);
    await sender.last(forever);
    for (const word of afterwards) await tell(word);
    await stop();
    const { pages, wrong } = compare(await sender.finish(undefined));
    expect(wrong).toEqual([]);
    expect(pages).toBeGreaterThanOrEqual(least);
    intake.end();
  });

  test('leaves the program as it was: it goes on, and nothing is noticed any more', async () => {
    await sender.rounds(forever, () => undefined);
    expect(readFileSync(`/proc/${pid}/smaps`, 'utf8')).toMatch(/^VmFlags:.* uw/m);
    sender.close();
    for (const word of ['write', 'grow', 'remap', 'drop', 'fork']) await tell(word);
    expect(readFileSync(`/proc/${pid}/smaps`, 'utf8')).not.toMatch(/^VmFlags:.* uw/m);
  });
});
