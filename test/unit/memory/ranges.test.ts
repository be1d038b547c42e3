import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PAGE } from '../../../plugin/memory/page.ts';
import { intersect, ordered, type Ranges, sizeOf, subtract, union } from '../../../plugin/memory/ranges.ts';

const ranges = fc.array(fc.record({ address: fc.nat(60).map((page) => page * PAGE), pages: fc.integer({ min: 1, max: 9 }) }), { maxLength: 8 }).map(ordered);
const pagesOf = (all: Ranges): Set<number> => new Set(all.flatMap(({ address, pages }) => Array.from({ length: pages }, (_, i) => address / PAGE + i)));
const sorted = (pages: Iterable<number>): number[] => [...pages].sort((a, b) => a - b);

/** In order, none touching another unless they came so. */
function apart(all: Ranges): void {
  for (const [i, range] of all.entries()) expect(i === 0 || all[i - 1]!.address + all[i - 1]!.pages * PAGE <= range.address).toBe(true);
}

describe('ranges of pages', () => {
  test('both, either, and one without the other are what sets of pages say', () => {
    fc.assert(
      fc.property(ranges, ranges, (a, b) => {
        const [x, y] = [pagesOf(a), pagesOf(b)];
        for (const [result, wanted] of [
          [union(a, b), [...x, ...y]],
          [intersect(a, b), [...x].filter((page) => y.has(page))],
          [subtract(a, b), [...x].filter((page) => !y.has(page))],
        ] as const) {
          apart(result);
          expect(sorted(pagesOf(result))).toEqual(sorted(new Set(wanted)));
        }
      }),
    );
  });

  test('that touch may stay apart where they came so: areas of different kinds lie beside each other', () => {
    const areas = [{ address: 0, pages: 2 }, { address: 2 * PAGE, pages: 2 }];
    expect(intersect(areas, [{ address: PAGE, pages: 2 }])).toEqual([{ address: PAGE, pages: 1 }, { address: 2 * PAGE, pages: 1 }]);
    expect(subtract(areas, [{ address: PAGE, pages: 2 }])).toEqual([{ address: 0, pages: 1 }, { address: 3 * PAGE, pages: 1 }]);
    expect(sizeOf(areas)).toBe(4 * PAGE);
  });
});
