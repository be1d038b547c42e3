import { readFile } from 'node:fs/promises';
import os from 'node:os';
import { CoatError, explain } from '../driver/host/errors.ts';
import type { Lab } from '../lab/lab.ts';
import manifest from '../package.json' with { type: 'json' };
import { table } from '../plugin/cli/render/table.ts';
import { compare, THRESHOLD } from './compare.ts';
import type { Context, Experiment } from './experiment.ts';
import { EXPERIMENTS } from './experiments/all.ts';
import { openBenchLab } from './lab.ts';
import { writeJson, type Means } from './means.ts';
import { machineLines, type Kept, type Kit, type Section } from './page/report.ts';
import { short } from './page/words.ts';
import { writeReport } from './page/write.ts';
import { versions } from './versions.ts';

export interface AllOptions extends Means {
  name: string;
  quick?: true;
  /** Experiments by their ids; all, where none is named. */
  only?: string[];
  /** Where the report goes. */
  out: string;
  /** An earlier `report.json`. */
  compare?: string;
  /** New by old, from which on it is a regression. */
  threshold?: number;
}

/** Runs the experiments one after the other and writes the report after each. @returns whether nothing failed and nothing is worse than it was */
export async function benchAll({ name, quick, only, out, compare: older, threshold = THRESHOLD, json, signal, say, note }: AllOptions): Promise<boolean> {
  const before = older === undefined ? undefined : await readKit(older);
  const began = performance.now();
  const kit: Kit = { format: 1, coat: manifest.version, quick: quick === true, load: [os.loadavg()[0]!, 0], took: 0, experiments: [] };
  let opening: Promise<Lab> | undefined;
  const lab = (): Promise<Lab> => (opening ??= openBenchLab(name, note, signal).then(async (made) => {
    kit.machine = await versions(made);
    return made;
  }));
  for (const experiment of EXPERIMENTS) {
    if (only !== undefined && !only.includes(experiment.id)) continue;
    note(`${experiment.id}: ${experiment.title}`);
    kit.experiments.push(await keep(experiment, { quick: quick === true, lab, signal, note: (line) => note(`  ${line}`) }));
    // after each, so that what was measured is not lost with what comes after
    kit.took = (performance.now() - began) / 1000;
    kit.load[1] = os.loadavg()[0]!;
    await writeReport(out, kit, sectionsOf(kit));
    await writeJson(json, kit);
  }
  for (const line of machineLines(kit)) say(line);
  say(`\n${metricsText(kit)}`);
  say(`${out}/report.html, report.md, report.json, plots/`);
  const failures = kit.experiments.flatMap(({ id, failures: each }) => each.map((failure) => `${id}: ${failure}`));
  for (const failure of failures) say(`FAILED: ${failure}`);
  const worse = before === undefined ? false : tellCompared(before, kit, threshold, say);
  return failures.length === 0 && !worse;
}

/** The report once more from its JSON, without measuring. */
export async function renderAgain(file: string, out: string): Promise<void> {
  const kit = await readKit(file);
  await writeReport(out, kit, sectionsOf(kit));
}

async function keep(experiment: Experiment<unknown>, context: Context): Promise<Kept> {
  const { id, title, about } = experiment;
  const began = performance.now();
  const took = (): number => (performance.now() - began) / 1000;
  try {
    const data = await experiment.run(context);
    return { id, title, about, took: took(), data, metrics: experiment.metrics(data), failures: experiment.failures?.(data) ?? [] };
  } catch (error) {
    context.signal.throwIfAborted();
    context.note(`FAILED: ${explain(error)}`);
    return { id, title, about, took: took(), metrics: [], failures: [explain(error)] };
  }
}

/** Words are those of the program that draws; data and what it came to are those of the run. */
function sectionsOf(kit: Kit): Section[] {
  return kit.experiments.map((kept) => {
    const experiment = EXPERIMENTS.find(({ id }) => id === kept.id);
    return { ...kept, figures: kept.data === undefined || experiment === undefined ? [] : experiment.figures(kept.data) };
  });
}

async function readKit(file: string): Promise<Kit> {
  const kit = JSON.parse(await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new CoatError('bench-compare', `${file} cannot be read`, { hint: 'name the report.json of an earlier run', cause });
  })) as Kit;
  if (kit.format === 1) return kit;
  throw new CoatError('bench-compare', `${file} is no report of npm run bench`, { hint: 'name the report.json of an earlier run' });
}

const metricsText = ({ experiments }: Kit): string =>
  table(['EXPERIMENT', 'WHAT', 'MEDIAN', ''], experiments.flatMap(({ id, metrics }) => metrics.map(({ name, value, unit }) => [id, name, short(value), unit])), { right: ['MEDIAN'] });

function tellCompared(old: Kit, now: Kit, threshold: number, say: Means['say']): boolean {
  const rows = compare(old, now, threshold);
  say(`\n${table(['WHAT', 'OLD', 'NEW', 'RATIO', ''], rows.map(({ name, unit, old: was, now: is, ratio, worse }) => [name, `${short(was)} ${unit}`, `${short(is)} ${unit}`, Number.isFinite(ratio) ? ratio.toFixed(2) : '-', worse ? 'WORSE' : '']))}`);
  const worse = rows.filter((row) => row.worse);
  say(worse.length === 0 ? `nothing is worse by more than a factor of ${threshold}` : `${worse.length} of ${rows.length} are worse by more than a factor of ${threshold}`);
  return worse.length > 0;
}
