import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PAGE } from '../../../plugin/memory/page.ts';
import { type Piece, Space } from '../../../plugin/memory/space.ts';

/** Pages that there are, in a memory small enough to try everything in it. */
const ALL = 64;
const page = fc.nat(ALL - 1);
const length = fc.integer({ min: 1, max: 20 });
const step = fc.oneof(
  fc.record({ of: fc.constant('drop' as const), from: page, length }),
  fc.record({ of: fc.constant('move' as const), from: page, to: page, length }),
);

/** By page, where it was: what a space is said to be, without any wit. */
function model(steps: readonly { of: 'drop' | 'move'; from: number; to?: number; length: number }[], begin: readonly number[]): Map<number, number> {
  let pages = new Map(begin.map((at) => [at, at]));
  for (const { of, from, to = 0, length } of steps) {
    const moved = [...pages].filter(([at]) => at >= from && at < from + length);
    const within = (at: number): boolean => (at >= from && at < from + length) || (of === 'move' && at >= to && at < to + length);
    pages = new Map([...pages].filter(([at]) => !within(at)));
    if (of === 'move') for (const [at, origin] of moved) pages.set(at - from + to, origin);
  }
  return pages;
}

const pagesOf = (pieces: readonly Piece[]): [number, number][] =>
  pieces.flatMap(({ start, end, origin }) => Array.from({ length: (end - start) / PAGE }, (_, i): [number, number] => [start / PAGE + i, origin / PAGE + i]));

test('whatever a process does with its memory, what is missing of it is found where it is', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ from: page, length })), fc.array(step, { maxLength: 8 }), (ranges, steps) => {
      const begin = [...new Set(ranges.flatMap(({ from, length }) => Array.from({ length }, (_, i) => from + i)))].sort((a, b) => a - b);
      const space = Space.of(begin.map((at) => ({ address: at * PAGE, pages: 1 })));
      // what a move leads to is nowhere else at that time: mremap(2) refuses parts that overlap
      const possible = steps.filter((one) => one.of === 'drop' || Math.abs(one.from - one.to) >= one.length);
      for (const one of possible) {
        if (one.of === 'drop') space.drop(one.from * PAGE, (one.from + one.length) * PAGE);
        else space.move(one.from * PAGE, one.to * PAGE, one.length * PAGE);
      }
      const expected = model(possible, begin);
      for (const of of [space, space.copy()]) {
        expect(of.empty).toBe(expected.size === 0);
        for (let at = 0; at < 2 * ALL; at++) {
          const piece = of.find(at * PAGE + 17);
          expect(piece && (piece.origin - piece.start) / PAGE + at).toEqual(expected.get(at));
        }
        for (const [from, to] of [[0, 2 * ALL], [5, 9], [ALL / 2, ALL]] as const) {
          const found = pagesOf(of.wherever(from * PAGE, to * PAGE)).sort(([a], [b]) => a - b);
          expect(found).toEqual([...expected].filter(([, origin]) => origin >= from && origin < to).sort(([a], [b]) => a - b));
        }
      }
    }),
  );
});

test('a child\'s memory is its own', () => {
  const parent = Space.of([{ address: 0, pages: 4 }]);
  const child = parent.copy();
  parent.drop(0, 2 * PAGE);
  child.move(3 * PAGE, 9 * PAGE, PAGE);
  expect(pagesOf(parent.wherever(0, ALL * PAGE))).toEqual([[2, 2], [3, 3]]);
  expect(pagesOf(child.wherever(0, ALL * PAGE))).toEqual([[0, 0], [1, 1], [2, 2], [9, 3]]);
});
