import type { Experiment, Metric } from '../experiment.ts';
import { short } from '../page/words.ts';
import { firstLimit, model, type Cluster } from '../scale/model.ts';
import { measureScale, type ScaleResult } from '../scale/run.ts';
import { median } from '../statistics.ts';

type Data = [ScaleResult, ScaleResult];

const CLUSTER: Cluster = { hosts: 1_000, containers: 50, changes: 1 };

export const scale: Experiment<Data> = {
  id: 'scale',
  title: 'How far it goes',
  about: 'One agent with a real etcd, among hosts that are only records, on a kernel that only records; at two sizes. From these a straight line is drawn to what is not here: '
    + `${CLUSTER.hosts} hosts with ${CLUSTER.containers} containers each, all on one network, of which each changes once an hour. That part is reckoned and not measured; what each line is reckoned from is said.`,
  async run({ quick, signal, note }) {
    const sizes = quick ? [10, 50] : [20, 200];
    const found: ScaleResult[] = [];
    for (const hosts of sizes) found.push(await measureScale({ hosts, endpoints: 50, idle: quick ? 5 : 60, changes: quick ? 10 : 50, signal, log: note }));
    return found as Data;
  },
  figures: (data) => {
    const loads = model(data, CLUSTER);
    const first = firstLimit(loads);
    const row = (name: string, of: (result: ScaleResult) => string): string[] => [name, ...data.map(of)];
    return [
      {
        kind: 'dots', title: 'A change until it is in the kernel', value: { name: 'ms', min: 0 }, categories: data.map(({ hosts }) => `${hosts} hosts`),
        series: [{ name: 'until it is there', values: data.map(({ changeMs }) => changeMs) }, { name: 'processor time', values: data.map(({ changeCpu }) => changeCpu) }],
      },
      {
        kind: 'lines', title: 'Memory of an agent', x: { name: 'endpoints' }, y: { name: 'MiB', min: 0 },
        series: [
          { name: 'measured', points: data.map(({ endpoints, peak }) => [endpoints, peak / 2 ** 20]) },
          { name: 'reckoned', points: [[data[1].endpoints, data[1].peak / 2 ** 20], [CLUSTER.hosts * CLUSTER.containers, loads.find(({ name }) => name === 'memory of an agent')!.value]] },
        ],
      },
      {
        kind: 'table', title: 'Measured', head: ['', ...data.map(({ hosts, endpoints }) => `${hosts} hosts, ${endpoints} endpoints`)],
        rows: [
          row('until the first agent has all, ms', ({ convergence }) => short(convergence)), row('entries in its kernel', ({ entries }) => short(entries)), row('nothing happens, % of a core', ({ idle }) => (idle * 100).toFixed(2)),
          row('memory then, MiB', ({ memory }) => short(memory / 2 ** 20)), row('the most memory, MiB', ({ peak }) => short(peak / 2 ** 20)), row('a change, processor time, ms', ({ changeCpu }) => short(median(changeCpu))), row('a change, until it is there, ms', ({ changeMs }) => short(median(changeMs))),
        ],
      },
      {
        kind: 'table', title: `Reckoned: ${short(CLUSTER.hosts)} hosts with ${CLUSTER.containers} containers each`, head: ['', 'load', 'from', 'limit', 'of it'],
        rows: loads.map(({ name, value, unit, from, limit, why }) => [name, `${short(value)} ${unit}`.trim(), from, limit === undefined ? '-' : `${short(limit)} ${unit}: ${why}`, limit === undefined ? '-' : `${short((value / limit) * 100)} %`]),
        note: first === undefined ? '' : `The first limit: ${first.name}. All grow with the containers; what the store sends out grows with containers and hosts.`,
      },
    ];
  },
  metrics: ([, much]): Metric[] => [
    { name: `${much.hosts} hosts, first convergence`, unit: 'ms', value: much.convergence, better: 'less', slack: 1000 },
    { name: `${much.hosts} hosts, idle`, unit: '% of a core', value: much.idle * 100, better: 'less', slack: 0.5 },
    { name: `${much.hosts} hosts, memory`, unit: 'MiB', value: much.memory / 2 ** 20, better: 'less', slack: 30 },
    { name: `${much.hosts} hosts, a change`, unit: 'ms of a core', value: median(much.changeCpu), better: 'less', slack: 1.5 },
  ],
};
