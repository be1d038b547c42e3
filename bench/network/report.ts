import { table } from '../../plugin/cli/render/table.ts';
import { median, quantile } from '../statistics.ts';
import type { Programmed } from './program.ts';
import type { Start } from './start.ts';
import type { Round } from './traffic.ts';

export interface NetworkResults {
  traffic?: Round[];
  /** By host. */
  starts?: Record<string, Start[]>;
  endpoints?: Programmed[];
}

/** What should be reached: a part of the network by hand, ms more than Docker's bridge, and ms after Join. */
const [LEAST, MOST, MORE_MS, LATER_MS] = [0.97, 1.03, 60, 50];

const short = (value: number): string => (Math.abs(value) < 99.95 ? value.toFixed(1) : String(Math.round(value)));
const percent = (part: number): string => `${(part * 100).toFixed(1)} %`;
const verdict = (reached: boolean): string => (reached ? 'reached' : 'missed');
/** The median, and what the middle half lies between. */
const spread = (values: readonly number[], scale = 1): string =>
  `${short(median(values) / scale)} (${short(quantile(values, 0.25) / scale)} to ${short(quantile(values, 0.75) / scale)})`;

/** Of each round the one as a part of the other: what else the machine does meanwhile happens to both. */
export function ratios(rounds: readonly Round[], what: 'throughput' | 'latency'): number[] {
  return rounds.map((round) => round[what].coat / round[what].hand);
}

export function networkText({ traffic, starts, endpoints }: NetworkResults): string {
  const rows: string[][] = [];
  if (traffic) {
    for (const [what, unit, scale] of [['throughput', 'Gbit/s', 1e9], ['latency', 'µs', 1]] as const) {
      const part = median(ratios(traffic, what));
      const reached = what === 'throughput' ? part >= LEAST : part <= MOST;
      const of = (way: 'coat' | 'hand'): string => spread(traffic.map((round) => round[what][way]), scale);
      rows.push([`${what}, ${unit}`, of('coat'), of('hand'), percent(part), `${what === 'throughput' ? `≥ ${percent(LEAST)}` : `≤ ${percent(MOST)}`}: ${verdict(reached)}`]);
    }
  }
  for (const [host, each] of Object.entries(starts ?? {})) {
    const more = median(each.map(({ coat, bridge }) => coat - bridge));
    rows.push([`start on ${host}, ms`, spread(each.map(({ coat }) => coat)), spread(each.map(({ bridge }) => bridge)), `${more < 0 ? '' : '+'}${short(more)} ms`, `≤ ${MORE_MS} ms more: ${verdict(more <= MORE_MS)}`]);
  }
  if (endpoints) {
    const last = endpoints.map((each) => Math.max(...Object.values(each)));
    const late = quantile(last, 0.99);
    rows.push(['endpoint on all hosts after Join, ms', spread(last), '-', `99 %: ${short(late)} ms`, `≤ ${LATER_MS} ms: ${verdict(late <= LATER_MS)}`]);
  }
  const counts = [traffic && `${traffic.length} rounds of traffic`, starts && `${Object.values(starts)[0]?.length ?? 0} starts on each host`, endpoints && `${endpoints.length} endpoints`].filter(Boolean);
  return [
    table(['', 'COAT', 'BY HAND, OR BRIDGE', 'PAIR BY PAIR', 'TARGET'], rows),
    `Medians, and between what the middle half lies; ${counts.join(', ')}; in turn with what they are compared with.`,
    'By hand: a bridge and a VXLAN device made with ip(8), between the same hosts and containers of the same kind.',
    '',
  ].join('\n');
}
