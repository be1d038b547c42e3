import { describe, expect, it } from 'vitest';
import { readSteps } from '../../../bench/alternatives/ways.ts';
import { EXPERIMENTS } from '../../../bench/experiments/all.ts';
import { share } from '../../../bench/experiments/overhead.ts';
import { distribution, short, spread } from '../../../bench/page/words.ts';
import { askedDuring, readDatagrams, readRates, readStretches, streamedDuring } from '../../../bench/services/read.ts';
import { deepestDip, longestTrip, readIperf, readSockperf, thin } from '../../../bench/paper/series.ts';
import { firstLimit, model } from '../../../bench/scale/model.ts';
import type { ScaleResult } from '../../../bench/scale/run.ts';
import { covered, joined, onlyIn } from '../../../bench/stretch.ts';

describe('what programs print', () => {
  it('of a script says how long each step took', () => {
    expect(readSteps('step 1700000000000000000 checkpoint\nword\nstep 1700000000250000000 copy it\nstep 1700000000350000000 end\n')).toEqual([{ name: 'checkpoint', ms: 250 }, { name: 'copy it', ms: 100 }]);
    expect(() => readSteps('step 1700000000000000000 checkpoint\n')).toThrow(/did not come to its end/);
  });

  it('of sockperf is round trips over time', () => {
    const points = readSockperf('packet, txTime(sec), rxTime(sec), rtt(usec)\n0, 2.5, 2.52, 20000\n1, 2.6, 2.84, 240000\n------\n');
    expect(points.map(([at, ms]) => [at.toFixed(2), ms.toFixed(0)])).toEqual([['0.00', '20'], ['0.10', '240']]);
    expect(longestTrip(points).ms).toBeCloseTo(240);
    expect(() => readSockperf('nothing')).toThrow(/no packet/);
  });

  it('of iperf3 is throughput over time', () => {
    const interval = (start: number, rate: number) => ({ sum: { start, end: start + 0.1, bits_per_second: rate } });
    const rates = [...Array<number>(25).fill(95e6), 0, 0, 47.5e6, ...Array<number>(25).fill(900e6)];
    const points = readIperf(JSON.stringify({ intervals: [4e9, ...rates].map((rate, index) => interval(index / 10, rate)) }));
    expect(points[1]).toEqual([0.15000000000000002, 95]);
    const dip = deepestDip(points);
    expect([dip.at.toFixed(2), dip.ms.toFixed(0)]).toEqual(['2.65', '250']);
    expect(deepestDip([])).toEqual({ at: 0, ms: 0 });
    expect(() => readIperf('{"error":"no route","intervals":[]}')).toThrow('iperf3: no route');
  });
});

it('a picture has of each stretch of time the least and the most, and so every peak', () => {
  const points = Array.from({ length: 1_000 }, (_, index) => [index / 100, index === 777 ? 500 : 20 + (index % 3)] as const);
  const drawn = thin(points, 0.5);
  expect(drawn.length).toBeLessThanOrEqual(60);
  expect(drawn).toContainEqual([7.77, 500]);
  expect(drawn.map(([at]) => at)).toEqual(drawn.map(([at]) => at).sort((a, b) => a - b));
});

describe('stretches of time', () => {
  it('that touch are one', () => expect(joined([{ from: 5, to: 8 }, { from: 0, to: 2 }, { from: 2, to: 4 }])).toEqual([{ from: 0, to: 4 }, { from: 5, to: 8 }]));
  it('are what is left without others', () => expect(onlyIn([{ from: 0, to: 10 }, { from: 20, to: 30 }], [{ from: 2, to: 4 }, { from: 8, to: 25 }])).toEqual([{ from: 0, to: 2 }, { from: 4, to: 8 }, { from: 25, to: 30 }]));
  it('are as long as what they cover', () => {
    expect(covered([{ from: 0, to: 10 }, { from: 5, to: 12 }])).toBe(12);
    expect(covered([{ from: 0, to: 10 }, { from: 50, to: 60 }], { from: 8, to: 55 })).toBe(7);
  });
});

it('what a connection costs is the time in which only its steps ran', () => {
  const step = (name: string, start: number, ms: number) => ({ name, host: 'h1', start, ms, blackout: false });
  const steps = [step('look', 0, 100), step('plumb', 50, 100), step('freeze', 200, 10), step('cut', 210, 10), step('dump', 220, 60), step('release', 280, 20)];
  const { ms, whole, blackout } = share({ steps, total: 400, blackout: 100 });
  // plumb alone from 100 to 150, cut, release
  expect(ms).toBe(80);
  expect(whole).toBe(20);
  expect(blackout).toBe(30);
});

describe('words', () => {
  it('have as many digits as are worth reading', () => expect([0, 0.97312, 9.5, 12.6, 12_345].map(short)).toEqual(['0', '0.973', '9.5', '13', '12,345']));
  it('tell median, least and most', () => expect([spread([3, 1, 200]), spread([7]), spread([])]).toEqual(['3 (1 to 200)', '7', '-']));
  it('tell which part is not more', () => expect(distribution([30, 10])).toEqual([[10, 50], [30, 100]]));
});

describe('the model of many hosts', () => {
  const result = (hosts: number, endpoints: number, peak: number): ScaleResult => ({ hosts, endpoints, peak: peak * 2 ** 20, memory: 0, entries: endpoints * 3, convergence: 500, convergenceCpu: 0, idle: 0, changeCpu: [2], changeMs: [4] });
  const loads = model([result(20, 1_000, 90), result(200, 10_000, 180)], { hosts: 1_000, containers: 50, changes: 3600 / 50 });
  const value = (name: string): number => loads.find((each) => each.name === name)!.value;

  it('draws a straight line through what was measured', () => {
    expect(value('memory of an agent')).toBeCloseTo(90 + 49 * 10);
    expect(value('kernel entries on each host')).toBe(150_000);
  });

  it('has a write for each change, and tells each host of it', () => {
    expect(value('writes to the store')).toBe(1_000);
    expect(value('events the store sends out')).toBe(1_000_000);
    expect(value('processor time of an agent')).toBeCloseTo(2);
  });

  it('names what is reached first', () => expect(firstLimit(loads)?.name).toBe('events the store sends out'));
});

it('each experiment can be named', () => expect(EXPERIMENTS.map(({ id }) => id)).toEqual(['gap', 'services', 'paper', 'overhead', 'alternatives', 'many', 'network', 'scale']));

describe('what services went through', () => {
  const lines = (...texts: [at: number, text: string][]) => texts.map(([at, text]) => ({ at, text }));
  const quiet = (from: number, to: number): { at: number; p99: number; most: number }[] => Array.from({ length: (to - from) / 100 }, (_, index) => ({ at: from + 100 * (index + 1), p99: 0.5, most: 0.9 }));

  it('of a client that asks: how long the longest request took, and when none was late any more', () => {
    expect(readStretches(lines([100, 'connected'], [300, 'stretch 1700000000.100 98 0.210 0.532 0.90'], [900, 'timeouts 0']))).toEqual([{ at: 300, p99: 0.532, most: 0.9 }]);
    const stretches = [...quiet(0, 3_000), { at: 3_250, p99: 130, most: 130 }, { at: 3_350, p99: 1.9, most: 4 }, { at: 3_450, p99: 2.1, most: 4 }, ...quiet(3_500, 6_000)];
    expect(askedDuring(stretches, { from: 3_000, to: 5_000 })).toEqual({ gap: 130, calm: 200 });
    expect(askedDuring([...quiet(0, 6_000)], { from: 3_000, to: 5_000 })).toEqual({ gap: 0.9, calm: 0 });
    expect(askedDuring([], { from: 3_000, to: 5_000 })).toBeUndefined();
  });

  it('of a stream: for how long it stood still, and when it carried as much again', () => {
    const text = (from: number, rate: number): string => `[  5]   ${from.toFixed(2)}-${(from + 0.1).toFixed(2)}   sec  6.00 MBytes  ${rate} Mbits/sec    0   1.2 MBytes`;
    expect(readRates(lines([5, text(0, 503)], [6, '[  5]   0.00-9.80   sec   600 MBytes   502 Mbits/sec                  receiver']))).toEqual([{ at: 5, rate: 503 }]);
    const rates = [...Array.from({ length: 30 }, (_, index) => ({ at: 100 * (index + 1), rate: 500 })), { at: 3_100, rate: 350 }, { at: 3_200, rate: 20 }, { at: 3_300, rate: 800 }, { at: 3_400, rate: 500 }];
    expect(streamedDuring(rates, { from: 3_000, to: 3_400 }, 110)).toEqual({ gap: 200, calm: 90 });
    expect(streamedDuring(rates.filter(({ at }) => at < 3_200), { from: 3_000, to: 3_400 }, 110)).toEqual({ gap: 0, calm: 0 });
  });

  it('of datagrams: how many did not come back', () => {
    const said = 'sockperf: [Total Run] RunTime=10.001 sec; Warm up time=400 msec; SentMessages=10001; ReceivedMessages=9999\nsockperf: # dropped messages = 2; # duplicated messages = 0; # out-of-order messages = 1';
    expect(readDatagrams(lines([1, said]))).toEqual({ sent: 10001, lost: 2, doubled: 0, disordered: 1 });
    expect(() => readDatagrams([])).toThrow('sockperf does not say');
  });
});
