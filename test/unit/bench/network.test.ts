import { describe, expect, it } from 'vitest';
import { networkText, ratios } from '../../../bench/network/report.ts';
import { readEntry } from '../../../bench/network/program.ts';
import { readLatency } from '../../../bench/network/traffic.ts';

describe('what programs print', () => {
  it('of ip-monitor says when which entry was made', () => {
    const at = Date.parse('2026-11-24T03:43:58.404Z');
    expect(readEntry('[2026-11-24T03:43:58.404491] 10.0.0.2 dev cx0 lladdr 02:42:0a:2a:00:05 NOARP PERMANENT ')).toEqual({ at, ip: '10.0.0.2', dev: 'cx0' });
    expect(readEntry('[2026-11-24T03:43:58.404791] dev cx0 lladdr 02:42:0a:2a:00:05 NOARP ')).toEqual({ at, ip: undefined, dev: 'cx0' });
    expect(() => readEntry('nonsense')).toThrow(/ip-monitor said "nonsense"/);
  });

  it('of sockperf has a median', () => {
    expect(readLatency('sockperf: ---> percentile 75.000 =   40.1\nsockperf: ---> percentile 50.000 =   34.941\n')).toBe(34.941);
    expect(() => readLatency('sockperf: no')).toThrow(/nothing of a median/);
  });
});

describe('the report', () => {
  const round = (coat: number, hand: number) => ({ throughput: { coat: coat * 1e9, hand: hand * 1e9 }, latency: { coat: hand, hand: coat } });
  const traffic = [round(9.8, 10), round(4.9, 5), round(20, 10)];

  it('compares pair by pair, as both of a pair saw the same machine', () => {
    expect(ratios(traffic, 'throughput').map((part) => part.toFixed(2))).toEqual(['0.98', '0.98', '2.00']);
  });

  it('says what was measured and whether it is enough', () => {
    const starts = { h1: [{ coat: 300, bridge: 250 }, { coat: 900, bridge: 860 }, { coat: 330, bridge: 260 }] };
    const text = networkText({ traffic, starts, endpoints: [{ h1: -1, h2: 3 }, { h1: 2, h2: 80 }] });
    expect(text).toMatch(/throughput, Gbit\/s +9\.8 \(4\.9 to 20\.0\) +10\.0 \(5\.0 to 10\.0\) +98\.0 % +≥ 97\.0 %: reached/);
    expect(text).toMatch(/latency, µs .* ≤ 103\.0 %: reached/);
    expect(text).toMatch(/start on h1, ms +330 .*\+50\.0 ms +≤ 60 ms more: reached/);
    expect(text).toMatch(/endpoint on all hosts after Join, ms .* 99 %: 80\.0 ms +≤ 50 ms: missed/);
    expect(text).toContain('3 rounds of traffic, 3 starts on each host, 2 endpoints');
  });

  it('can be about a part', () => expect(networkText({ endpoints: [{ h1: 1 }] })).not.toContain('throughput'));
});
