import { describe, expect, it } from 'vitest';
import { compare } from '../../../bench/compare.ts';
import type { Metric } from '../../../bench/experiment.ts';
import type { Kit } from '../../../bench/page/report.ts';

const kit = (...metrics: Metric[]): Kit => ({ format: 1, coat: '0.1.0', quick: false, load: [0, 0], took: 1, experiments: [{ id: 'gap', title: '', about: '', took: 1, metrics, failures: [] }] });
const metric = (value: number, more: Partial<Metric> = {}): Metric => ({ name: 'echo, gap', unit: 'ms', value, better: 'less', ...more });
const worse = (old: Metric, now: Metric, threshold?: number): boolean | undefined => compare(kit(old), kit(now), threshold)[0]?.worse;

describe('a run beside an earlier one', () => {
  it('has the ratio of each metric that both have', () => {
    expect(compare(kit(metric(100), metric(1, { name: 'gone' })), kit(metric(150), metric(7, { name: 'new' })))).toEqual([{ name: 'gap: echo, gap', unit: 'ms', old: 100, now: 150, ratio: 1.5, worse: true }]);
  });

  it('is worse beyond the threshold, and not at it', () => {
    expect(worse(metric(100), metric(130))).toBe(false);
    expect(worse(metric(100), metric(131))).toBe(true);
    expect(worse(metric(100), metric(131), 2)).toBe(false);
    expect(worse(metric(100), metric(10))).toBe(false);
  });

  it('is worse with less where more is better', () => {
    const better = 'more' as const;
    expect(worse(metric(4, { better }), metric(3, { better }))).toBe(true);
    expect(worse(metric(4, { better }), metric(8, { better }))).toBe(false);
  });

  it('is not worse by what is no difference', () => {
    expect(worse(metric(2, { slack: 5 }), metric(6, { slack: 5 }))).toBe(false);
    expect(worse(metric(2, { slack: 5 }), metric(8, { slack: 5 }))).toBe(true);
  });

  it('is worse where there was nothing to complain of, and now is', () => {
    expect(worse(metric(0), metric(1))).toBe(true);
    expect(worse(metric(0), metric(0))).toBe(false);
  });
});
