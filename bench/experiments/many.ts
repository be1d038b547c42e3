import { layOut } from '../alternatives/stage.ts';
import type { Experiment, Metric } from '../experiment.ts';
import { moveMany, type ManyTrial } from '../many.ts';
import type { DotsFigure, Figure } from '../page/figure.ts';
import { distribution, short, spread, tail } from '../page/words.ts';
import { measure, type Result } from '../run.ts';
import { median } from '../statistics.ts';
import { coat } from '../ways/coat.ts';
import { workloads } from '../workloads.ts';

interface Data {
  connections: ManyTrial[];
  containers: ManyTrial[];
  row: Result;
}

export const many: Experiment<Data> = {
  id: 'many',
  title: 'Many',
  about: 'Many connections on one server, many containers moved at once, and many moves in a row, from Docker 26.1 to 28.5, with a client on a third host. '
    + 'Of many connections each asks seldom, so that there are about 1000 requests a second in all; a gap is the longest that any of them waited for its answer. All containers are told to move at the same moment; nothing holds one back for another.',
  async run({ lab: get, quick, signal, note }) {
    const lab = await get();
    await layOut(lab);
    const trials = async (what: string, counts: readonly number[], runs: number, of: (count: number) => { containers: number; connections: number }): Promise<ManyTrial[]> => {
      const found: ManyTrial[] = [];
      for (let run = 0; run < runs; run += 1) {
        // the other way round every second time
        for (const count of run % 2 === 0 ? counts : [...counts].reverse()) {
          const trial = await moveMany(lab, { ...of(count), signal });
          found.push(trial);
          note(`${count} ${what}: gap ${short(Math.max(...trial.gaps))} ms, ${trial.kept} of ${trial.of} connections kept${trial.failures.length > 0 ? `, FAILED: ${trial.failures[0]}` : ''}`);
        }
      }
      return found;
    };
    const connections = await trials('connections', quick ? [1, 100] : [1, 10, 100, 1000], quick ? 1 : 2, (count) => ({ containers: 1, connections: count }));
    const containers = await trials('containers', quick ? [1, 4] : [1, 2, 4, 8, 16], quick ? 1 : 2, (count) => ({ containers: count, connections: 1 }));
    const moves = quick ? 6 : 100;
    const row = await measure(lab, workloads['echo']!, coat, { moves, signal, tell: (done) => (done % 10 === 0 ? note(`${done} of ${moves} moves in a row`) : undefined) });
    return { connections, containers, row };
  },
  figures: ({ connections, containers, row }) => [
    dots('Gap, by the number of connections', 'connections', connections),
    dots('Gap of each container, by how many move at once', 'at once', containers),
    {
      kind: 'dots', title: 'Until all are moved', value: { name: 's', min: 0 }, categories: countsOf(containers).map((count) => `${count} at once`),
      series: [{ name: 'total', values: countsOf(containers).map((count) => containers.filter((each) => each.count === count).map(({ total }) => total / 1000)) }],
    },
    {
      kind: 'lines', title: `${row.moves.length} moves in a row: which part had no longer a gap`, x: { name: 'ms' }, y: { name: '%', max: 100 },
      series: [{ name: 'gap (client)', points: distribution(row.moves.map(({ gap }) => gap)), step: true }, { name: 'blackout (agent)', points: distribution(row.moves.flatMap(({ report }) => report.blackout ?? [])), step: true }],
    },
    table('connections', connections), table('containers at once', containers),
    { kind: 'table', title: 'In a row, ms', head: ['', 'median', '90 %', '99 %', 'most'], rows: [['gap', ...tail(row.moves.map(({ gap }) => gap))], ['blackout', ...tail(row.moves.flatMap(({ report }) => report.blackout ?? []))], ['whole move', ...tail(row.moves.map(({ report }) => report.total))]], note: `${row.moves.length} moves, ${row.requests} requests, every byte checked; connections lost: ${row.lost}.` },
  ],
  metrics: ({ connections, containers, row }) => [
    ...countsOf(connections).map((count): Metric => ({ name: `${count} connections, gap`, unit: 'ms', value: median(gapsOf(connections, count)), better: 'less', slack: 60 })),
    ...countsOf(containers).map((count): Metric => ({ name: `${count} at once, gap`, unit: 'ms', value: median(gapsOf(containers, count)), better: 'less', slack: 150 })),
    ...(row.moves.length > 0 ? [{ name: 'in a row, gap', unit: 'ms', value: median(row.moves.map(({ gap }) => gap)), better: 'less', slack: 40 } satisfies Metric] : []),
  ],
  failures: ({ connections, containers, row }) => [
    ...[...connections, ...containers].flatMap(({ count, failures, kept, of }) => [...failures.map((failure) => `${count}: ${failure}`), ...(kept < of ? [`${count}: ${of - kept} of ${of} connections lost`] : [])]),
    ...(row.failure === undefined ? [] : [`in a row: ${row.failure}`]), ...(row.lost > 0 ? ['in a row: the connection was lost'] : []),
  ],
};

const countsOf = (trials: readonly ManyTrial[]): number[] => [...new Set(trials.map(({ count }) => count))].sort((a, b) => a - b);
const gapsOf = (trials: readonly ManyTrial[], count: number): number[] => trials.filter((each) => each.count === count).flatMap(({ gaps }) => gaps);

function dots(title: string, what: string, trials: readonly ManyTrial[]): DotsFigure {
  const counts = countsOf(trials);
  return {
    kind: 'dots', title, value: { name: 'ms', log: true }, categories: counts.map((count) => `${count} ${what}`),
    series: [{ name: 'gap (client)', values: counts.map((count) => gapsOf(trials, count)) }, { name: 'blackout (agent)', values: counts.map((count) => trials.filter((each) => each.count === count).flatMap(({ blackouts }) => blackouts)) }],
  };
}

function table(what: string, trials: readonly ManyTrial[]): Figure {
  const rows = countsOf(trials).map((count) => {
    const all = trials.filter((each) => each.count === count);
    const sum = (of: (each: ManyTrial) => number): number => all.reduce((total, each) => total + of(each), 0);
    return [String(count), spread(gapsOf(trials, count)), spread(all.flatMap(({ blackouts }) => blackouts)), spread(all.map(({ total }) => total)), `${sum(({ kept }) => kept)} of ${sum(({ of }) => of)}`, String(sum(({ failures }) => failures.length)), String(all.length)];
  });
  return { kind: 'table', title: `In numbers, by ${what}`, head: [what, 'gap, ms', 'blackout, ms', 'total, ms', 'connections kept', 'moves that failed', 'runs'], rows, note: 'The median, and in brackets the least and the most.' };
}
