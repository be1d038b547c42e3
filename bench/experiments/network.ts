import type { Experiment, Metric } from '../experiment.ts';
import { measureProgramming, type Programmed } from '../network/program.ts';
import { ratios } from '../network/report.ts';
import { measureStarts, type Start } from '../network/start.ts';
import { measureTraffic, type Round } from '../network/traffic.ts';
import { distribution, short, spread, tail } from '../page/words.ts';
import { median } from '../statistics.ts';

interface Data {
  traffic: Round[];
  /** By host. */
  starts: Record<string, Start[]>;
  endpoints: Programmed[];
  seconds: number;
  /** Why there is nothing of Docker's overlay. */
  swarm?: string;
}

const WAYS = [['coat', 'coat'], ['hand', 'VXLAN by hand'], ['swarm', 'Docker\'s overlay (Swarm)'], ['bridge', 'Docker\'s bridge, one host']] as const;

export const network: Experiment<Data> = {
  id: 'network',
  title: 'The network',
  about: 'Containers of one kind on two hosts, on coat\'s network, on a bridge with a VXLAN made with ip(8), on Docker\'s own overlay where it runs, and for comparison on one host on Docker\'s bridge; in turn. '
    + 'Then docker run until the container\'s gateway has answered it, and from Docker\'s Join until all hosts have a new endpoint in their kernels.',
  async run({ lab: get, quick, signal, note }) {
    const lab = await get();
    const [rounds, seconds, count, endpoints] = quick ? [1, 2, 3, 20] : [5, 3, 20, 200];
    const tell = (what: string, of: number) => (done: number): void => (done === of ? note(`${what}: ${of}`) : undefined);
    let swarm: string | undefined;
    const traffic = await measureTraffic(lab, { rounds, seconds, signal, docker: true, tell: tell('rounds of traffic', rounds), without: (why) => (swarm = why) });
    const starts: Data['starts'] = {};
    for (const host of lab.hosts.slice(0, 2)) starts[host.name] = await measureStarts(lab, { host, count, signal, tell: tell(`starts on ${host.name}`, count) });
    return { traffic, starts, seconds, ...(swarm === undefined ? {} : { swarm }), endpoints: await measureProgramming(lab, { count: endpoints, signal, tell: tell('endpoints', endpoints) }) };
  },
  figures: ({ traffic, starts, endpoints, seconds, swarm }) => {
    const ways = WAYS.filter(([way]) => traffic.some(({ throughput }) => throughput[way] !== undefined));
    const of = (what: 'throughput' | 'latency', way: (typeof WAYS)[number][0]): number[] => traffic.flatMap((round) => round[what][way] ?? []);
    const hosts = Object.keys(starts);
    const note = `${traffic.length} rounds of ${seconds} s.`;
    return [
      { kind: 'dots', title: 'Throughput, TCP (iperf3)', value: { name: 'Gbit/s', min: 0 }, categories: ways.map(([, name]) => name), series: [{ name: 'Gbit/s', values: ways.map(([way]) => of('throughput', way).map((value) => value / 1e9)) }], note },
      { kind: 'dots', title: 'Latency, there and back (sockperf, TCP)', value: { name: 'µs', min: 0 }, categories: ways.map(([, name]) => name), series: [{ name: 'µs', values: ways.map(([way]) => of('latency', way)) }], note: `${note} A dot is the median of one measurement.` },
      { kind: 'dots', title: 'A container starts', value: { name: 'ms', min: 0 }, categories: hosts, series: [{ name: 'coat', values: hosts.map((host) => starts[host]!.map(({ coat }) => coat)) }, { name: 'Docker\'s bridge', values: hosts.map((host) => starts[host]!.map(({ bridge }) => bridge)) }] },
      { kind: 'lines', title: 'A new endpoint is on all hosts', x: { name: 'ms after Join' }, y: { name: '%', max: 100 }, series: [{ name: 'endpoints', points: distribution(endpoints.map(last)), step: true }], note: `${endpoints.length} endpoints. Before Join has answered is less than 0.` },
      {
        kind: 'table', title: 'In numbers', head: ['', 'throughput, Gbit/s', 'latency, µs'],
        rows: ways.map(([way, name]) => [name, spread(of('throughput', way).map((value) => value / 1e9)), spread(of('latency', way))]),
        note: `Coat by hand's VXLAN, round by round: throughput ${median(ratios(traffic, 'throughput')).toFixed(2)}, latency ${median(ratios(traffic, 'latency')).toFixed(2)}.${swarm === undefined ? '' : ` Docker's overlay did not run: ${swarm}`}`,
      },
      { kind: 'table', title: 'Starts and endpoints, ms', head: ['', 'median', '90 %', '99 %', 'most'], rows: [...hosts.flatMap((host) => [[`start on ${host}, coat`, ...tail(starts[host]!.map(({ coat }) => coat))], [`start on ${host}, bridge`, ...tail(starts[host]!.map(({ bridge }) => bridge))]]), ['endpoint on all hosts', ...tail(endpoints.map(last))]], note: hosts.map((host) => `${host}: coat takes ${short(median(starts[host]!.map(({ coat, bridge }) => coat - bridge)))} ms more`).join('; ') },
    ];
  },
  metrics: ({ traffic, starts, endpoints }): Metric[] => [
    { name: 'throughput, part of VXLAN by hand', unit: '', value: median(ratios(traffic, 'throughput')), better: 'more', slack: 0.1 },
    { name: 'latency, part of VXLAN by hand', unit: '', value: median(ratios(traffic, 'latency')), better: 'less', slack: 0.1 },
    ...Object.entries(starts).map(([host, each]): Metric => ({ name: `start on ${host}, more than on a bridge`, unit: 'ms', value: median(each.map(({ coat, bridge }) => coat - bridge)), better: 'less', slack: 40 })),
    { name: 'endpoint on all hosts', unit: 'ms', value: median(endpoints.map(last)), better: 'less', slack: 20 },
  ],
};

const last = (each: Programmed): number => Math.max(...Object.values(each));
