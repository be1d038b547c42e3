import { describe, expect, test } from 'vitest';
import { anotherRound, type Progress } from '../../../plugin/memory/rounds.ts';
import { anonymousAreas } from '../../../plugin/memory/areas.ts';

const MB = 1e6;
const RATE = 500 * MB;

/** The rounds of a container with so much memory that writes to so much of it a second, but never to more than so much. */
function simulate(memory: number, written: number, most: number, rate = RATE): { rounds: number; left: number } {
  const sent: number[] = [];
  for (let dirty = memory; ; dirty = Math.min(most, (written * sent.at(-1)!) / rate)) {
    if (!anotherRound({ sent, dirty, rate })) return { rounds: sent.length, left: dirty };
    sent.push(dirty);
  }
}

describe('when to stop sending ahead', () => {
  test.each<[string, Progress, boolean]>([
    ['the first round is everything', { sent: [], dirty: 1, rate: RATE }, true],
    ['what is left takes no time', { sent: [256 * MB], dirty: 8 * MB, rate: RATE }, false],
    ['it does on a slow link', { sent: [256 * MB], dirty: 8 * MB, rate: 12.5 * MB }, true],
    ['a round that leaves less pays', { sent: [256 * MB, 100 * MB], dirty: 50 * MB, rate: RATE }, true],
    ['one that leaves as much does not', { sent: [256 * MB, 100 * MB], dirty: 90 * MB, rate: RATE }, false],
    ['of the first two rounds nothing can be learnt', { sent: [256 * MB], dirty: 256 * MB, rate: RATE }, true],
  ])('%s', (_, progress, again) => {
    expect(anotherRound(progress)).toBe(again);
  });

  test('memory that is written to slowly becomes little', () => {
    expect(simulate(1024 * MB, 100 * MB, 1024 * MB)).toEqual({ rounds: 3, left: expect.closeTo(8.2 * MB, -6) as number });
  });

  test.each([[1024 * MB, 400 * MB, 1024 * MB], [1024 * MB, 5000 * MB, 1024 * MB], [1024 * MB, 5000 * MB, 64 * MB], [64 * 1024 * MB, 450 * MB, 8 * 1024 * MB]])('memory %d that is written to as quickly as %d ends', (memory, written, most) => {
    expect(simulate(memory, written, most).rounds).toBeLessThanOrEqual(12);
  });
});

test('the private anonymous memory of a process is what goes ahead', () => {
  const maps = [
    '55d0c0000000-55d0c0002000 r--p 00000000 fe:00 1234                       /usr/bin/python3.13',
    '55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0                          [heap]',
    '7f0000000000-7f0000400000 rw-p 00000000 00:00 0 ',
    '7f0000400000-7f0000500000 rw-s 00000000 00:01 77                         /dev/zero (deleted)',
    '7f0000500000-7f0000501000 rw-p 00001000 fe:00 1234                       /usr/lib/libc.so.6',
    '7f0000600000-7f0000601000 rw-p 00000000 00:00 0                          [anon: stacks of threads]',
    '7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]',
    '7ffd00100000-7ffd00104000 r--p 00000000 00:00 0                          [vvar]',
    '7ffd00104000-7ffd00106000 r-xp 00000000 00:00 0                          [vdso]',
    'ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]',
    '',
  ].join('\n');
  expect(anonymousAreas(maps).map(({ address, pages }) => [address.toString(16), pages])).toEqual([['55d0c1000000', 0x21], ['7f0000000000', 0x400], ['7f0000600000', 1], ['7ffd00000000', 0x21]]);
});
