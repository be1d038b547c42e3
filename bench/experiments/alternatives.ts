import { explain } from '../../driver/host/errors.ts';
import { connectHosts, disconnectHosts } from '../alternatives/network.ts';
import { checkpointAlone } from '../alternatives/refused.ts';
import { CONNECTIONS, trial, type Link, type Size, type Trial } from '../alternatives/run.ts';
import { experimental, layOut, loadPodman, startSsh } from '../alternatives/stage.ts';
import { ALTERNATIVES } from '../alternatives/ways.ts';
import type { Experiment, Metric } from '../experiment.ts';
import type { DotsFigure, Figure } from '../page/figure.ts';
import { short, spread } from '../page/words.ts';
import { median } from '../statistics.ts';

const size = (name: string, mb: number): Size => ({ name, argv: ['python3', '/share/echo.py', ...(mb === 0 ? [] : ['--mb', String(mb)])] });
const SMALL = size('10 MB', 0);
const SIZES: readonly { size: Size; runs: number }[] = [{ size: SMALL, runs: 4 }, { size: size('256 MiB', 256), runs: 2 }, { size: size('1 GiB', 1024), runs: 1 }];
const LINKS: readonly Link[] = [{ name: 'unlimited', rate: null }, { name: '1 Gbit/s', rate: '1gbit' }, { name: '100 Mbit/s', rate: '100mbit' }];

interface Data {
  trials: Trial[];
  refused: Awaited<ReturnType<typeof checkpointAlone>>;
}

const nameOf = (each: Trial): string => `${each.way}, ${cell(each)}`;
const cell = ({ size: what, link }: { size: string; link: string }): string => `${what}, ${link}`;

export const alternatives: Experiment<Data> = {
  id: 'alternatives',
  title: 'What one would take instead',
  about: `An echo server goes from one host with Docker 26.1 to another, by each way in turn (each round begins with another one), while a client on a third host asks on ${CONNECTIONS} connections. `
    + 'Its memory cannot be compressed. Each move has a server and connections of its own; the first move by each way, not counted, warms up. The rate is that of both hosts\' links. '
    + 'The ways other than COAT\'s are scripts in bench/alternatives/scripts, with one ssh connection that is open beforehand; the address is announced only when the server answers again, so that nobody is refused meanwhile.',
  async run({ lab: get, quick, signal, note }) {
    const lab = await get();
    const [from, third, to] = [lab.host('h1'), lab.host('h2'), lab.host('h3')];
    note('ssh, Podman\'s image, Docker\'s experimental features, a network by hand');
    await experimental(lab, signal);
    await layOut(lab);
    await startSsh(lab, [from, to]);
    await loadPodman(lab, [from, to], note, signal);
    await connectHosts(lab);
    try {
      const one = async (way: (typeof ALTERNATIVES)[number], what: Size, link: Link): Promise<Trial> => {
        try {
          return await trial(lab, { from, to, third, way, size: what, link, signal });
        } catch (error) {
          signal.throwIfAborted();
          return { way: way.name, size: what.name, link: link.name, gap: 0, total: 0, sent: 0, kept: 0, steps: [], why: [], failure: `it was not begun: ${explain(error)}` };
        }
      };
      for (const way of ALTERNATIVES) await one(way, SMALL, LINKS[0]!);
      const trials: Trial[] = [];
      const wanted = quick ? [{ size: SMALL, link: LINKS[0]!, runs: 2 }, { size: SMALL, link: LINKS[2]!, runs: 1 }] : SIZES.flatMap((each) => LINKS.map((link) => ({ ...each, link })));
      for (const { size: what, link, runs } of wanted) {
        for (let round = 0; round < runs; round += 1) {
          for (let turn = 0; turn < ALTERNATIVES.length; turn += 1) {
            const way = ALTERNATIVES[(round + turn) % ALTERNATIVES.length]!;
            const found = await one(way, what, link);
            trials.push(found);
            note(`${what.name}, ${link.name}, ${way.name}: ${found.failure ?? `gap ${short(found.gap)} ms, ${found.kept} of ${CONNECTIONS} connections kept`}`);
          }
        }
      }
      return { trials, refused: await checkpointAlone(third, signal) };
    } finally {
      await disconnectHosts(lab);
    }
  },
  figures: ({ trials, refused }) => [
    overview(trials),
    ...sizesOf(trials).flatMap((what) => {
      const runs = Math.max(...counts(trials.filter((each) => each.size === what)));
      const note = `${runs} ${runs === 1 ? 'run' : 'runs'} of each.`;
      return [
        dots(`Gap, ${what}: how long the clients heard nothing`, 'gap, ms', trials, what, ({ gap }) => gap, note),
        dots(`Time, ${what}: from the command until it was done`, 'time, ms', trials, what, ({ total }) => total, note),
        dots(`Sent, ${what}: what left the source`, 'MB', trials, what, ({ sent }) => sent / 1e6, note),
      ];
    }),
    table(trials),
    ...failures(trials),
    {
      kind: 'table', title: `Docker's own checkpoint on Docker ${refused.engine}`, head: ['command', 'answer'], rows: refused.steps.map(({ command, failure }) => [command, failure ?? 'done']),
      note: 'On one host, without any connection.',
    },
    { kind: 'table', title: 'The ways', head: ['way', 'what is done'], rows: ALTERNATIVES.map(({ name, about }) => [name, about]) },
  ],
  metrics: ({ trials }) => groups(trials.filter(({ way, failure }) => way.startsWith('coat') && failure === undefined)).flatMap(({ name, all }): Metric[] => [
    { name: `${name}: gap`, unit: 'ms', value: median(all.map(({ gap }) => gap)), better: 'less', slack: 50 },
    { name: `${name}: time`, unit: 'ms', value: median(all.map(({ total }) => total)), better: 'less', slack: 300 },
    { name: `${name}: connections kept`, unit: 'of all', value: Math.min(...all.map(({ kept }) => kept / CONNECTIONS)), better: 'more' },
  ]),
  failures: ({ trials }) => trials.filter(({ way, failure, kept }) => way.startsWith('coat') && (failure !== undefined || kept < CONNECTIONS))
    .map((each) => `${nameOf(each)}: ${[each.failure, ...(each.kept < CONNECTIONS ? [`${CONNECTIONS - each.kept} connections lost: ${each.why.join('; ')}`] : [])].filter(Boolean).join('; ')}`),
};

const sizesOf = (trials: readonly Trial[]): string[] => [...new Set(trials.map(({ size: what }) => what))];
const waysOf = (trials: readonly Trial[]): string[] => ALTERNATIVES.map(({ name }) => name).filter((name) => trials.some(({ way }) => way === name));
const counts = (trials: readonly Trial[]): number[] => groups(trials).map(({ all }) => all.length);

function groups(trials: readonly Trial[]): { name: string; all: Trial[] }[] {
  const found = new Map<string, Trial[]>();
  for (const each of trials) found.set(nameOf(each), [...(found.get(nameOf(each)) ?? []), each]);
  return [...found].map(([name, all]) => ({ name, all }));
}

function dots(title: string, axis: string, trials: readonly Trial[], what: string, value: (each: Trial) => number, note: string): DotsFigure {
  const here = trials.filter((each) => each.size === what && each.failure === undefined);
  const links = [...new Set(here.map(({ link }) => link))];
  const series = waysOf(here).map((name) => ({ name, values: links.map((link) => here.filter((each) => each.link === link && each.way === name).map(value)) }));
  return { kind: 'dots', title, value: { name: axis, log: true }, categories: links, series, note };
}

/** What is to be seen at one look: what memory makes of it, where nothing else is in the way. */
function overview(trials: readonly Trial[]): DotsFigure {
  const here = trials.filter((each) => each.link === LINKS[0]!.name && each.failure === undefined);
  const sizes = sizesOf(here);
  const series = waysOf(here).map((name) => ({ name, values: sizes.map((what) => here.filter((each) => each.size === what && each.way === name).map((each) => each.gap)) }));
  return { kind: 'dots', title: 'Gap by memory, links unlimited', value: { name: 'gap, ms', log: true }, categories: sizes, series, note: `${runsOf(here)} runs of each; stop and start loses the connections and what was in memory, the others keep both.` };
}

/** 5, or 1 to 5. */
function runsOf(trials: readonly Trial[]): string {
  const all = counts(trials);
  const [least, most] = [Math.min(...all), Math.max(...all)];
  return least === most ? String(least) : `${least} to ${most}`;
}

function table(trials: readonly Trial[]): Figure {
  const rows = groups(trials).map(({ all }) => {
    const whole = all.filter(({ failure }) => failure === undefined);
    const first = all[0]!;
    const kept = whole.reduce((sum, each) => sum + each.kept, 0);
    return [
      first.size, first.link, first.way, spread(whole.map(({ gap }) => gap)), spread(whole.map(({ total }) => total)), spread(whole.map(({ sent }) => sent / 1e6)),
      `${kept} of ${whole.length * CONNECTIONS}`, whole.length === all.length ? String(all.length) : `${all.length}, of which ${all.length - whole.length} failed`,
    ];
  });
  return { kind: 'table', title: 'All of it', head: ['memory', 'links', 'way', 'gap, ms', 'time, ms', 'sent, MB', 'connections kept', 'runs'], rows, note: 'The median, and in brackets the least and the most.' };
}

function failures(trials: readonly Trial[]): Figure[] {
  const failed = trials.filter(({ failure }) => failure !== undefined);
  if (failed.length === 0) return [];
  return [{ kind: 'table', title: 'What failed', head: ['memory', 'links', 'way', 'how', 'gap, ms', 'connections kept'], rows: failed.map(({ size: what, link, way, failure, gap, kept }) => [what, link, way, failure!, short(gap), `${kept} of ${CONNECTIONS}`]) }];
}
