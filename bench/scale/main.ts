import os from 'node:os';
import { table } from '../../plugin/cli/render/table.ts';
import { type Means, writeJson } from '../means.ts';
import { median } from '../statistics.ts';
import { measureScale, type ScaleResult } from './run.ts';

/** Of what the cost of a change is compared with: a tenth of the hosts. */
const FEWER = 10;
/** What should be reached: ms, part of a core, MiB. */
const [CONVERGED_MS, IDLE, MEMORY_MIB] = [10_000, 0.01, 200];

export interface BenchScaleOptions extends Means {
  hosts: number;
  endpoints: number;
  idle: number;
  changes: number;
}

/** The same with a tenth of the hosts, and with all of them. */
export async function benchScale({ hosts, endpoints, idle, changes, json, signal, say, note }: BenchScaleOptions): Promise<boolean> {
  const machine = { date: new Date().toISOString().slice(0, 10), node: process.version, kernel: os.release(), processor: `${os.cpus().length} × ${os.cpus()[0]?.model.trim() ?? 'unknown'}` };
  say(`${machine.date}: Linux ${machine.kernel}, ${machine.processor}, Node ${machine.node}\n`);
  const results: ScaleResult[] = [];
  for (const many of [Math.max(1, Math.round(hosts / FEWER)), hosts]) results.push(await measureScale({ hosts: many, endpoints, idle, changes, signal, log: note }));
  say(scaleText(results));
  await writeJson(json, { ...machine, results });
  return true;
}

export function scaleText(results: readonly ScaleResult[]): string {
  const mib = (bytes: number): number => Math.round(bytes / 2 ** 20);
  const row = (what: string, of: (result: ScaleResult) => string, target: string): string[] => [what, ...results.map(of), target];
  const last = results.at(-1)!;
  const reached = (yes: boolean): string => (yes ? 'reached' : 'missed');
  return [
    table(['', ...results.map(({ hosts, endpoints }) => `${hosts} HOSTS, ${endpoints} ENDPOINTS`), 'TARGET'], [
      row('first convergence, ms', ({ convergence }) => String(convergence), `≤ ${CONVERGED_MS} ms: ${reached(last.convergence <= CONVERGED_MS)}`),
      row('processor time for that, ms', ({ convergenceCpu }) => String(Math.round(convergenceCpu)), ''),
      row('nothing happens, of a core', ({ idle }) => `${(idle * 100).toFixed(2)} %`, `≤ ${IDLE * 100} %: ${reached(last.idle <= IDLE)}`),
      row('memory then, MiB', ({ memory }) => String(mib(memory)), `≤ ${MEMORY_MIB} MiB: ${reached(mib(last.memory) <= MEMORY_MIB)}`),
      row('the most memory ever, MiB', ({ peak }) => String(mib(peak)), ''),
      row('one change, processor time, ms', ({ changeCpu }) => median(changeCpu).toFixed(2), 'the same in all columns'),
      row('one change in the kernel after, ms', ({ changeMs }) => median(changeMs).toFixed(1), 'the same in all columns'),
    ]),
    'One agent with a real etcd; the other hosts and their containers are records, and the kernel only records. The medians of the changes.',
    '',
  ].join('\n');
}
