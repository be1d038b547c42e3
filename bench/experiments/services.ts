import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Experiment, Metric } from '../experiment.ts';
import { short, spread } from '../page/words.ts';
import { moveService, type ServiceResult } from '../services/run.ts';
import { SERVICES } from '../services/services.ts';
import { median } from '../statistics.ts';

type Data = Record<string, ServiceResult>;

const PROGRAM = join(import.meta.dirname, '../programs/ask.py');

export const services: Experiment<Data> = {
  id: 'services',
  title: 'Services at work',
  about: 'Programs as they are installed move between Docker 26.1 and 28.5 and back while a client on a third host keeps them at work, and checks what it gets. '
    + 'A gap is the longest that a request took during a move. Calm is the time from the end of the gap until requests take no longer than before (the 99th percentile of each 100 ms is no more than twice what it was, and 1 ms), '
    + 'and for a stream until it carries 95 % of what it did. iperf3 tells what it has carried every 100 ms, so of a stream both are told no finer than that.',
  async run({ lab: get, quick, signal, note }) {
    const lab = await get();
    await copyFile(PROGRAM, join(lab.shared, 'ask.py'));
    const data: Data = {};
    for (const [name, service] of Object.entries(SERVICES)) {
      const moves = service.moves[quick ? 1 : 0];
      data[name] = await moveService(lab, service, { moves, signal, tell: (done) => (done % 20 === 0 && done < moves ? note(`${name}: ${done} of ${moves} moves`) : undefined) });
      note(`${name}: ${data[name].moves.length} moves, gap ${spread(gaps(data[name]))} ms, calm after ${spread(calms(data[name]))} ms, ${data[name].lost} of ${data[name].of} lost`);
    }
    return data;
  },
  figures: (data) => {
    const names = Object.keys(data);
    return [
      {
        kind: 'dots', title: 'Gap, and until all is calm', value: { name: 'ms', log: true }, categories: names,
        series: [{ name: 'gap (client)', values: names.map((name) => gaps(data[name]!)) }, { name: 'blackout (agent)', values: names.map((name) => blackouts(data[name]!)) }, { name: 'calm', values: names.map((name) => calms(data[name]!)) }],
      },
      {
        kind: 'table', title: 'In numbers, ms', head: ['service', 'what', 'gap', 'blackout', 'gap less blackout', 'calm after', 'lost', 'time-outs', 'moves'],
        rows: names.map((name) => {
          const { moves, lost, of, timeouts } = data[name]!;
          return [name, SERVICES[name]?.about ?? '', spread(gaps(data[name]!)), spread(blackouts(data[name]!)), spread(over(data[name]!)), spread(calms(data[name]!)), `${lost} of ${short(of)}`, timeouts === undefined ? '-' : String(timeouts), String(moves.length)];
        }),
        note: 'The median, and in brackets the least and the most. Lost are connections, and of sockperf datagrams. Of datagrams it is not known which belong to which move.',
      },
    ];
  },
  metrics: (data) => Object.entries(data).flatMap(([name, result]): Metric[] => [
    ...(gaps(result).length > 0 ? [{ name: `${name}, gap`, unit: 'ms', value: median(gaps(result)), better: 'less', slack: 60 } satisfies Metric] : []),
    { name: `${name}, lost`, unit: '', value: result.lost, better: 'less' },
  ]),
  failures: (data) => Object.entries(data).flatMap(([name, { problems, lost, of }]) => [...problems.map((problem) => `${name}: ${problem}`), ...(lost > 0 ? [`${name}: ${lost} of ${of} lost`] : [])]),
};

const gaps = ({ moves }: ServiceResult): number[] => moves.flatMap(({ seen }) => seen?.gap ?? []);
const calms = ({ moves }: ServiceResult): number[] => moves.flatMap(({ seen }) => seen?.calm ?? []);
const blackouts = ({ moves }: ServiceResult): number[] => moves.flatMap(({ report }) => report.blackout ?? []);
const over = ({ moves }: ServiceResult): number[] => moves.flatMap(({ seen, report }) => (seen && report.blackout !== undefined ? [seen.gap - report.blackout] : []));
