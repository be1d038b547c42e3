import { describe, expect, it } from 'vitest';
import { gather, longestIn, median, quantile, summary } from '../../../bench/statistics.ts';

describe('median', () => {
  it('is the middle one, whatever the order', () => expect(median([9, 1, 5])).toBe(5));
  it('lies between the two in the middle', () => expect(median([1, 2, 4, 100])).toBe(3));
  it('leaves what it is given as it was', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });
});

it('a quantile is one of the values, which that part does not exceed', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect([0.25, 0.99, 1].map((part) => quantile(hundred, part))).toEqual([25, 99, 100]);
  expect(quantile([7], 0.25)).toBe(7);
});

describe('summary', () => {
  it('has median, worst and count', () => expect(summary([3, 1, 8])).toEqual({ median: 3, worst: 8, count: 3 }));
  it('has nothing to say of nothing', () => expect(summary([])).toBeUndefined());
});

describe('the longest silence of a move', () => {
  const gaps = [{ at: 1_000, ms: 900 }, { at: 2_000, ms: 30 }, { at: 2_600, ms: 300 }, { at: 9_000, ms: 800 }];
  it('may begin before it, and may end after it', () => {
    expect(longestIn(gaps, { from: 950, to: 1_100 })).toBe(900);
    expect(longestIn(gaps, { from: 2_100, to: 2_400 })).toBe(300);
  });
  it('is not that of another move', () => expect(longestIn(gaps, { from: 1_950, to: 2_650 })).toBe(300));
  it('is nothing where nothing was told', () => expect(longestIn(gaps, { from: 3_000, to: 8_000 })).toBe(0));
});

it('gathers values under their names, in the order of the names', () => {
  const items = [{ n: 'b', v: 1 }, { n: 'a', v: 2 }, { n: 'b', v: 3 }];
  expect([...gather(items, ({ n }) => n, ({ v }) => v)]).toEqual([['b', [1, 3]], ['a', [2]]]);
});
