import type { Metric } from './experiment.ts';
import type { Kit } from './page/report.ts';

/** New by old: above this (or, where more is better, below its inverse) it is a regression, unless it was told otherwise. */
export const THRESHOLD = 1.3;

export interface Compared {
  /** With its experiment: `gap: echo, gap`. */
  name: string;
  unit: string;
  old: number;
  now: number;
  /** New by old; not a number where both are 0. */
  ratio: number;
  worse: boolean;
}

/** All metrics that both runs have, in the order of the new one. */
export function compare(old: Kit, now: Kit, threshold = THRESHOLD): Compared[] {
  const before = new Map<string, number>(old.experiments.flatMap(({ id, metrics }) => metrics.map((metric) => [`${id}: ${metric.name}`, metric.value] as const)));
  return now.experiments.flatMap(({ id, metrics }) => metrics.flatMap((metric) => {
    const name = `${id}: ${metric.name}`;
    const was = before.get(name);
    if (was === undefined) return [];
    return [{ name, unit: metric.unit, old: was, now: metric.value, ratio: metric.value / was, worse: isWorse(metric, was, threshold) }];
  }));
}

function isWorse({ value, better, slack = 0 }: Metric, was: number, threshold: number): boolean {
  const more = better === 'less' ? value - was : was - value;
  if (more <= slack) return false;
  return better === 'less' ? value > was * threshold : value < was / threshold;
}
