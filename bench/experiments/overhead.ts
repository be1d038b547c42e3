import type { Report } from '../../plugin/agent/api.ts';
import type { Experiment, Metric } from '../experiment.ts';
import { PUBLISHED } from '../paper/published.ts';
import { spread } from '../page/words.ts';
import { measure, type Result } from '../run.ts';
import { median } from '../statistics.ts';
import { coat } from '../ways/coat.ts';
import { workloads } from '../workloads.ts';
import { covered, onlyIn, type Stretch } from '../stretch.ts';

/** The steps of a move that are there because connections are kept; all others a move without any would have as well. */
const NETWORK_STEPS: ReadonlySet<string> = new Set(['plumb', 'accept', 'redirect', 'cut', 'commit', 'release']);
const WORKLOADS = ['echo', 'echo256'] as const;

type Data = Record<string, Result>;

/** Part of a move, %, in which nothing ran but a step that is there for the connections. */
export function share({ steps, total, blackout }: Pick<Report, 'steps' | 'total' | 'blackout'>): { whole: number; blackout: number; ms: number } {
  const frozen = steps.find(({ name }) => name === 'freeze')?.start ?? 0;
  const still: Stretch = { from: frozen, to: frozen + (blackout ?? 0) };
  const of = (wanted: boolean): Stretch[] => steps.filter(({ name }) => NETWORK_STEPS.has(name) === wanted).map(({ start, ms }) => ({ from: start, to: start + ms }));
  const alone = onlyIn(of(true), of(false));
  const ms = covered(alone);
  return { whole: (ms / total) * 100, ms, blackout: blackout === undefined ? 0 : (covered(alone, still) / blackout) * 100 };
}

export const overhead: Experiment<Data> = {
  id: 'overhead',
  title: 'What it costs to keep the connections',
  about: 'The steps of a move that are there for its connections (plumb, accept, redirect, cut, commit, release) run beside others as far as they can. '
    + 'Counted is the time in which nothing else ran: by so much a move without them would be shorter. COAT cannot be asked to leave them out; that is why this comes from the times of the steps of each move, and not from a second kind of move.',
  async run({ lab: get, quick, signal, note }) {
    const lab = await get();
    const data: Data = {};
    for (const name of quick ? WORKLOADS.slice(0, 1) : WORKLOADS) {
      data[name] = await measure(lab, workloads[name]!, coat, { moves: quick ? 4 : 10, signal, tell: () => undefined });
      note(`${name}: ${data[name].moves.length} moves`);
    }
    return data;
  },
  figures: (data) => {
    const names = Object.keys(data);
    const of = (value: (part: ReturnType<typeof share>) => number): number[][] => names.map((name) => data[name]!.moves.map(({ report }) => value(share(report))));
    return [
      {
        kind: 'dots', title: 'Part of the time that is there for the connections alone', value: { name: '%', min: 0 }, categories: [...names, 'the paper'],
        series: [{ name: 'of the whole move', values: [...of(({ whole }) => whole), [PUBLISHED.iperf3.network, PUBLISHED.sockperf.network]] }, { name: 'of the blackout', values: [...of((part) => part.blackout), []] }],
        note: 'The paper: its steps S2, S4 and S5 of the total without ssh, during all of which the service stood still.',
      },
      {
        kind: 'table', title: 'In numbers', head: ['', 'whole move, ms', 'for the connections alone, ms', 'of the move, %', 'of the blackout, %', 'moves'],
        rows: [
          ...names.map((name) => {
            const parts = data[name]!.moves.map(({ report }) => share(report));
            return [name, spread(data[name]!.moves.map(({ report }) => report.total)), spread(parts.map(({ ms }) => ms)), spread(parts.map(({ whole }) => whole)), spread(parts.map((part) => part.blackout)), String(parts.length)];
          }),
          ...(['iperf3', 'sockperf'] as const).map((name) => [`the paper, ${name}`, '', '', String(PUBLISHED[name].network), '', '50']),
        ],
      },
    ];
  },
  metrics: (data) => Object.entries(data).filter(([, { moves }]) => moves.length > 0).map(([name, { moves }]): Metric => ({ name: `${name}, of the move`, unit: '%', value: median(moves.map(({ report }) => share(report).whole)), better: 'less', slack: 5 })),
  failures: (data) => Object.entries(data).flatMap(([name, { failure, lost }]) => [...(failure === undefined ? [] : [`${name}: ${failure}`]), ...(lost > 0 ? [`${name}: ${lost} connections lost`] : [])]),
};
