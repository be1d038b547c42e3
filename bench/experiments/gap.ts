import type { Experiment, Metric } from '../experiment.ts';
import { distribution, spread, tail } from '../page/words.ts';
import { inBlackout, stepName } from '../report.ts';
import { measure, type Result } from '../run.ts';
import { gather, median } from '../statistics.ts';
import { coat } from '../ways/coat.ts';
import { workloads } from '../workloads.ts';

type Data = Record<string, Result>;

/** There is one workload that a quick run has. */
const QUICK = ['echo'];

export const gap: Experiment<Data> = {
  id: 'gap',
  title: 'A move, as a client sees it',
  about: 'A server moves between Docker 26.1 and 28.5 and back, again and again, while a client on a third host asks 1000 times a second on one connection and checks every byte. '
    + 'The gap is the longest time without an answer during a move; the blackout is what the agent measured from freeze to thaw.',
  async run({ lab: get, quick, signal, note }) {
    const lab = await get();
    const results: Data = {};
    for (const [name, workload] of Object.entries(workloads)) {
      if (quick && !QUICK.includes(name)) continue;
      const moves = quick ? 4 : workload.argv.includes('1024') ? 4 : 10;
      results[name] = await measure(lab, workload, coat, { moves, signal, tell: () => undefined });
      note(`${name}: ${results[name].moves.length} moves`);
    }
    return results;
  },
  figures: (results) => {
    const names = Object.keys(results);
    const of = (value: (result: Result) => number[]): number[][] => names.map((name) => value(results[name]!));
    return [
      {
        kind: 'dots', title: 'Gap and blackout', value: { name: 'ms', log: true }, categories: names,
        series: [{ name: 'gap (client)', values: of(gaps) }, { name: 'blackout (agent)', values: of(blackouts) }, { name: 'whole move', values: of(totals) }],
      },
      { kind: 'lines', title: 'Gap: which part of the moves had no longer one', x: { name: 'gap, ms', log: true }, y: { name: '%', max: 100 }, series: names.map((name) => ({ name, points: distribution(gaps(results[name]!)), step: true })) },
      stepsOf(results),
      {
        kind: 'table', title: 'Gap, ms', head: ['workload', 'what', 'median', '90 %', '99 %', 'most', 'moves', 'connections lost', 'memory carried, MB'],
        rows: names.map((name) => [name, workloads[name]?.about ?? '', ...tail(gaps(results[name]!)), String(results[name]!.moves.length), String(results[name]!.lost), spread(results[name]!.moves.map(({ report }) => report.bytes.memory / 1e6))]),
      },
    ];
  },
  metrics: (results) => Object.entries(results).filter(([, { moves }]) => moves.length > 0).flatMap(([name, result]): Metric[] => [
    { name: `${name}, gap`, unit: 'ms', value: median(gaps(result)), better: 'less', slack: 40 },
    { name: `${name}, blackout`, unit: 'ms', value: median(blackouts(result)), better: 'less', slack: 40 },
    { name: `${name}, whole move`, unit: 'ms', value: median(totals(result)), better: 'less', slack: 300 },
    { name: `${name}, connections lost`, unit: '', value: result.lost, better: 'less' },
  ]),
  failures: (results) => Object.entries(results).flatMap(([name, { failure, lost, errors }]) => [
    ...(failure === undefined ? [] : [`${name}: ${failure}`]),
    ...(lost > 0 ? [`${name}: the connection was lost: ${errors.join('; ')}`] : []),
  ]),
};

const gaps = ({ moves }: Result): number[] => moves.map((move) => move.gap);
const blackouts = ({ moves }: Result): number[] => moves.flatMap(({ report }) => report.blackout ?? []);
const totals = ({ moves }: Result): number[] => moves.map(({ report }) => report.total);

/** Steps overlap, so they are beside each other and not on top of each other. */
function stepsOf(results: Data): ReturnType<Experiment<Data>['figures']>[number] {
  const found = Object.entries(results).map(([name, { moves }]) => ({ name, steps: gather(moves.flatMap(({ report }) => inBlackout(report).map((step) => ({ name: stepName(step, report), ms: step.ms }))), (step) => step.name, (step) => step.ms) }));
  const steps = [...new Set(found.flatMap((each) => [...each.steps.keys()]))];
  return { kind: 'table', title: 'Steps that begin during the blackout, ms', head: ['step', ...found.map(({ name }) => name)], rows: steps.map((step) => [step, ...found.map((each) => spread(each.steps.get(step) ?? []))]), note: 'The median, and in brackets the least and the most. Steps overlap.' };
}
