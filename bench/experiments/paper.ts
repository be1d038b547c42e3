import type { Phase } from '../../plugin/agent/api.ts';
import { layOut, startSsh } from '../alternatives/stage.ts';
import type { Experiment, Metric } from '../experiment.ts';
import type { Figure, StackFigure } from '../page/figure.ts';
import { short, spread } from '../page/words.ts';
import { FarLink, type Means } from '../paper/delay.ts';
import { PUBLISHED, ROUND_TRIP, THROUGHPUT } from '../paper/published.ts';
import { gapOf, movePaper, SERVICES, type PaperMove } from '../paper/run.ts';
import { measureSignalling, type Signalling } from '../paper/signalling.ts';
import { median } from '../statistics.ts';

/** The paper's, each way, ms: 20 to the far host and back, 2 to the near one. */
const [FAR_MS, NEAR_MS] = [10, 1];
const [FAR_RATE, NEAR_RATE] = ['100mbit', '1gbit'];
const PHASES: readonly Phase[] = ['planned', 'prepared', 'copying', 'redirected', 'frozen', 'restoring', 'released', 'cleaned'];

interface Data {
  means: Means;
  moves: Record<'sockperf' | 'iperf3', PaperMove[]>;
  signalling: { near: Signalling; far: Signalling };
}

export const paper: Experiment<Data> = {
  id: 'paper',
  title: 'The paper\'s two experiments',
  about: 'Three hosts; a service that nobody has changed moves from a far host (Docker 26.1) to a near one (28.5) while its client on the third goes on. sockperf: 20 ms there and back to the far host, 2 ms to the near one. '
    + 'iperf3: 100 Mbit/s at the far host, 1 Gbit/s at the near one. Beside it what the paper published (MedComNet 2023, means of its 50 runs, on other machines: what can be compared is what the parts are, not the last digit).',
  async run({ lab: get, quick, signal, note }) {
    const lab = await get();
    const [far, near, third] = [lab.host('h1'), lab.host('h2'), lab.host('h3')];
    await layOut(lab);
    await startSsh(lab, [far, third]);
    const data: Data = { means: 'netem', moves: { sockperf: [], iperf3: [] }, signalling: { near: await measureSignalling(far, third, quick ? 3 : 10, signal), far: { ssh: [], sshOpen: [], agents: [] } } };
    const runs = quick ? 1 : 5;
    for (const service of SERVICES) {
      const links: FarLink[] = [];
      try {
        if (service.name === 'sockperf') {
          for (const [host, ms] of [[far, FAR_MS], [near, NEAR_MS]] as const) links.push(await FarLink.make(lab, host, ms));
          data.means = links[0]!.means;
          data.signalling.far = await measureSignalling(far, third, quick ? 3 : 10, signal);
        } else {
          await lab.limit(far.name, FAR_RATE);
          await lab.limit(near.name, NEAR_RATE);
        }
        for (let index = 0; index < runs; index += 1) {
          const move = await movePaper(lab, service, { from: far.name, to: near.name }, signal);
          data.moves[service.name].push(move);
          note(`${service.name}: gap ${short(gapOf(service.name, move).ms)} ms, ${short(move.report.total)} ms in all`);
        }
      } finally {
        for (const link of links) await link.remove();
        for (const host of [far, near]) await lab.limit(host.name, null);
      }
    }
    return data;
  },
  figures: ({ means, moves, signalling }) => {
    const how = means === 'netem' ? 'The delay is made by the kernel\'s netem.' : 'This kernel has no netem: a program takes each frame from the far host\'s link, and lets it go after the delay (bench/programs/delay.py).';
    return [
      overTime('Round-trip time over time (sockperf)', 'round trip, ms', 'sockperf', moves.sockperf, `${how} The paper: ${ROUND_TRIP.before} ms before, about ${ROUND_TRIP.after} ms after, and nothing for ${PUBLISHED.sockperf.gap / 1000} s. The first of ${moves.sockperf.length} runs.`),
      overTime('Throughput over time (iperf3)', 'Mbit/s', 'iperf3', moves.iperf3, `Each point is 0.1 s. The paper: ${THROUGHPUT.before} Mbit/s before, ${THROUGHPUT.after} after, and nothing for ${PUBLISHED.iperf3.gap / 1000} s. The first of ${moves.iperf3.length} runs.`),
      phasesOf(moves),
      publishedSteps(),
      beside(moves),
      {
        kind: 'dots', title: 'Signalling: something is to be done on another host', value: { name: 'ms', log: true }, categories: ['near', '20 ms away'],
        series: [{ name: 'ssh, a connection each', values: [signalling.near.ssh, signalling.far.ssh] }, { name: 'ssh, one that is open', values: [signalling.near.sshOpen, signalling.far.sshOpen] }, { name: 'agents (all hosts asked)', values: [signalling.near.agents, signalling.far.agents] }],
        note: 'The paper\'s script makes an ssh connection for each of its steps: 58 % of a move\'s time with iperf3, 56 % with sockperf. The agents keep theirs open.',
      },
    ];
  },
  metrics: ({ moves }) => (['sockperf', 'iperf3'] as const).filter((name) => moves[name].length > 0).flatMap((name): Metric[] => [
    { name: `${name}, gap`, unit: 'ms', value: median(moves[name].map((move) => gapOf(name, move).ms)), better: 'less', slack: 100 },
    { name: `${name}, whole move`, unit: 'ms', value: median(moves[name].map(({ report }) => report.total)), better: 'less', slack: 300 },
  ]),
};

function overTime(title: string, axis: string, name: 'sockperf' | 'iperf3', moves: readonly PaperMove[], note: string): Figure {
  const first = moves[0];
  if (first === undefined) return { kind: 'table', title, head: [''], rows: [['nothing was measured']] };
  const frozen = first.report.steps.find(({ name }) => name === 'freeze')?.start ?? 0;
  // the clocks of client and agent are not the same: the gap begins with the freeze
  const asked = gapOf(name, first).at - frozen / 1000;
  return {
    kind: 'lines', title, x: { name: 's' }, y: { name: axis, ...(name === 'sockperf' ? { log: true } : {}) }, series: [{ name: axis, points: first.series }], note,
    marks: [{ at: asked, name: 'asked' }, { at: asked + first.report.total / 1000, name: 'done' }],
  };
}

function phasesOf(moves: Data['moves']): StackFigure {
  const names = (['sockperf', 'iperf3'] as const).filter((name) => moves[name].length > 0);
  const of = (name: 'sockperf' | 'iperf3', phase: Phase): number => median(moves[name].map(({ report }) => report.phases.find((each) => each.phase === phase)?.ms ?? 0));
  return {
    kind: 'stack', title: 'What a move consists of: COAT, this run', value: { name: 'ms' }, categories: names,
    series: PHASES.map((phase) => ({ name: phase, values: names.map((name) => of(name, phase)) })), note: 'Medians. The service stands still during frozen and restoring only.',
  };
}

function publishedSteps(): StackFigure {
  const names = ['sockperf', 'iperf3'] as const;
  const steps = PUBLISHED.sockperf.steps.map(({ name }) => name);
  return {
    kind: 'stack', title: 'What a move consists of: the paper', value: { name: 'ms' }, categories: names,
    series: [
      ...steps.map((step, index) => ({ name: step, values: names.map((name) => PUBLISHED[name].steps[index]!.ms) })),
      { name: 'ssh', values: names.map((name) => PUBLISHED[name].total - PUBLISHED[name].steps.reduce((sum, { ms }) => sum + ms, 0)) },
    ],
    note: 'The steps without ssh, and what is left of the total. The service stands still during nearly all of it.',
  };
}

function beside(moves: Data['moves']): Figure {
  const rows = (['sockperf', 'iperf3'] as const).flatMap((name) => {
    const { gap, total, memory } = PUBLISHED[name];
    const of = (value: (move: PaperMove) => number): string => spread(moves[name].map(value));
    return [
      [`${name}: gap, ms`, of((move) => gapOf(name, move).ms), short(gap)],
      [`${name}: whole move, ms`, of(({ report }) => report.total), short(total)],
      [`${name}: memory carried, MB`, of(({ report }) => report.bytes.memory / 1e6), short(memory)],
    ];
  });
  return { kind: 'table', title: 'Beside the paper', head: ['', `COAT, this run (${moves.sockperf.length} runs)`, 'the paper (mean of 50)'], rows, note: 'The median, and in brackets the least and the most. Of iperf3 it is how long the stream would have to have stood still to carry as much less as it did: what its client hands to the kernel, in steps of 100 ms.' };
}
