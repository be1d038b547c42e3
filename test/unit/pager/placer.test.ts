import { beforeEach, describe, expect, test } from 'vitest';
import type { Faults, Hindrance, MemoryEvent } from '../../../plugin/memory/faults.ts';
import { PAGE, type PageRequest } from '../../../plugin/memory/page.ts';
import { Placer } from '../../../plugin/pager/placer.ts';

const [PID, FD] = [7, 40];
const START = 0x7000_0000_0000;
const PAGES = 200;

/** A process's memory as the kernel has it: which pages are where, and what it says to the next ones. */
class Memory implements Faults {
  readonly fd: number;
  readonly pages = new Map<number, number>();
  readonly woken: number[] = [];
  happened: MemoryEvent[] = [];
  closed = false;
  /** Why a page cannot be put there, and until it can nothing behind it. */
  refuses: (page: number) => Hindrance | undefined = () => undefined;

  constructor(fd = FD) {
    this.fd = fd;
  }

  events(): MemoryEvent[] {
    return this.happened.splice(0);
  }

  copy(address: number, data: Buffer): number | Hindrance {
    for (let at = 0; at < data.length; at += PAGE) {
      const why = this.pages.has(address + at) ? 'there' : this.refuses(address + at);
      if (why) return at > 0 ? at : why;
      this.pages.set(address + at, Number(data.readBigUInt64LE(at)));
    }
    return data.length;
  }

  zero(address: number): number | Hindrance {
    const why = this.pages.has(address) ? 'there' : this.refuses(address);
    if (!why) this.pages.set(address, 0);
    return why ?? PAGE;
  }

  wake(address: number): void {
    this.woken.push(address);
  }

  close(): void {
    this.closed = true;
  }
}

/** A page says where it was. */
function pagesAt({ address, pages }: PageRequest): Buffer {
  const data = Buffer.alloc(pages * PAGE);
  for (let i = 0; i < pages; i++) data.writeBigUInt64LE(BigInt(address + i * PAGE), i * PAGE);
  return data;
}

let memory: Memory;
/** Pages that are here. */
let here: number;
let wanted: number[];
let placed: PageRequest[];
let children: Memory[];
const page = (number: number): number => START + number * PAGE;
const ALL = { pid: PID, address: START, pages: PAGES };

beforeEach(() => {
  memory = new Memory();
  [here, wanted, placed, children] = [PAGES, [], [], []];
});

function placer(todo: readonly PageRequest[] = []): Placer {
  const source = {
    here: ({ address, pages, pid }: PageRequest) => (address < page(here) ? pagesAt({ pid, address, pages: Math.min(pages, 50) }) : undefined),
    want: (_: number, address: number) => void wanted.push((address - START) / PAGE),
    placed: (pages: PageRequest) => void placed.push(pages),
  };
  const made = new Placer(source, {
    memory: new Map([[PID, [{ address: START, pages: PAGES }]]]),
    here: todo,
    open: (fd) => {
      children.push(new Memory(fd));
      return children.at(-1)!;
    },
  });
  made.attach(PID, memory);
  return made;
}

function fault(made: Placer, number: number, of = memory): void {
  of.happened.push({ of: 'fault', address: page(number) + 123 });
  made.answer([of.fd]);
}

const filled = (of = memory): number[] => [...of.pages].filter(([at, origin]) => at === origin).map(([at]) => (at - START) / PAGE).sort((a, b) => a - b);
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

describe('a page that somebody waits for', () => {
  test('is there at once, with those behind it', () => {
    fault(placer(), 20);
    expect(filled()).toEqual(range(20, 36));
    expect(wanted).toEqual([]);
  });

  test('is asked for where it is not here, once, and is there when it comes', () => {
    here = 0;
    const made = placer();
    fault(made, 20);
    made.answer([]);
    expect([wanted, filled()]).toEqual([[20], []]);
    here = PAGES;
    made.came({ pid: PID, address: page(16), pages: 8 });
    expect(filled()).toEqual(range(16, 24));
  });

  test('waits where the process does something else to its memory that has to be read first', () => {
    const made = placer();
    memory.refuses = () => 'first-read';
    fault(made, 20);
    expect(filled()).toEqual([]);
    memory.refuses = () => undefined;
    memory.happened.push({ of: 'moved', from: page(0), to: page(1000), length: PAGES * PAGE });
    made.answer([FD]);
    // there is nothing any more
    expect([...memory.pages]).toEqual([[page(20), 0]]);
    fault(made, 1020);
    expect(memory.pages.get(page(1020))).toBe(page(20));
  });

  test('that is there already, or nowhere, is looked for again by whoever waits', () => {
    const made = placer();
    fault(made, 20);
    fault(made, 21);
    expect(memory.woken).toEqual([page(21)]);
    memory.refuses = () => 'nowhere';
    fault(made, PAGES + 5);
    expect(memory.woken).toEqual([page(21), page(PAGES + 5)]);
  });
});

describe('what nobody waits for', () => {
  function goOn(made: Placer): boolean {
    let went = true;
    for (let turns = 0; made.busy && went && turns < 100; turns++) went = made.goOn();
    return went;
  }

  test('is put in its place in stretches, around what is there', () => {
    const made = placer([ALL]);
    memory.pages.set(page(70), page(70));
    expect(made.goOn()).toBe(true);
    expect(filled()).toEqual([...range(0, 64), 70]);
    goOn(made);
    expect(filled()).toEqual(range(0, PAGES));
    expect(placed.reduce((sum, { pages }) => sum + pages, 0)).toBe(PAGES);
    expect(made.done).toBe(false);
    made.run();
    expect(made.done).toBe(true);
    made.release();
    expect([memory.closed, made.descriptors]).toEqual([true, []]);
  });

  test('waits for CRIU to lay it out, and for nothing that is not laid out when CRIU has finished', () => {
    const made = placer([ALL]);
    memory.refuses = (address) => (address >= page(10) && address < page(13) ? 'nowhere' : undefined);
    expect(goOn(made)).toBe(false);
    expect(filled()).toEqual(range(0, 10));
    made.run();
    expect(goOn(made)).toBe(true);
    expect(filled()).toEqual([...range(0, 10), ...range(13, PAGES)]);
    expect(made.done).toBe(true);
  });

  test('is not lost where its memory is moved at that moment', () => {
    const made = placer([ALL]);
    made.run();
    const answers: Hindrance[] = ['nowhere', 'first-read'];
    memory.refuses = (address) => (address === page(64) ? answers.shift() : undefined);
    // one page of it is tried by itself
    made.goOn();
    answers.unshift(...Array.from({ length: 6 }, () => 'nowhere' as const));
    expect(made.goOn()).toBe(false);
    memory.happened.push({ of: 'moved', from: page(64), to: page(1000), length: PAGE });
    made.answer([FD]);
    expect(goOn(made)).toBe(true);
    expect([filled(), memory.pages.get(page(1000))]).toEqual([[...range(0, 64), ...range(65, PAGES)], page(64)]);
  });

  test('waits for memory that the host has not', () => {
    const made = placer([ALL]);
    made.run();
    memory.refuses = (address) => (address >= page(64) ? 'no-memory' : undefined);
    expect([goOn(made), made.done]).toEqual([false, false]);
    memory.refuses = () => undefined;
    expect([goOn(made), made.done]).toEqual([true, true]);
  });

  test('is nothing where the process has ended', () => {
    const made = placer([ALL]);
    made.run();
    memory.refuses = () => 'ended';
    made.goOn();
    expect(made.done).toBe(true);
  });

  test('is kept for a process that is not there yet, and is nothing where it never comes', () => {
    const source = { here: pagesAt, want: () => undefined, placed: (pages: PageRequest) => void placed.push(pages) };
    const made = new Placer(source, { memory: new Map([[PID, [ALL]]]), here: [], open: () => memory });
    made.came(ALL);
    expect([made.goOn(), placed]).toEqual([false, []]);
    made.attach(PID, memory);
    expect(goOn(made)).toBe(true);
    expect(filled()).toEqual(range(0, PAGES));
    const never = new Placer(source, { memory: new Map([[PID, [ALL]]]), here: [ALL], open: () => memory });
    never.run();
    expect(never.done).toBe(true);
  });
});

test('a child has what its parent missed, wherever either has moved it since', () => {
  here = 0;
  const made = placer();
  memory.happened.push({ of: 'removed', start: page(0), end: page(50) }, { of: 'fork', fd: 41 }, { of: 'moved', from: page(50), to: page(500), length: 50 * PAGE });
  made.answer([FD]);
  const child = children[0]!;
  expect(made.descriptors).toEqual([FD, 41]);
  here = PAGES;
  made.came({ pid: PID, address: page(40), pages: 20 });
  expect(filled(child)).toEqual(range(50, 60));
  expect([...memory.pages]).toEqual(range(50, 60).map((number) => [page(number + 450), page(number)]));
  // what was given back is empty in both
  fault(made, 40, child);
  expect(child.pages.get(page(40))).toBe(0);
});
