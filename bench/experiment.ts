import type { Lab } from '../lab/lab.ts';
import type { Figure } from './page/figure.ts';

/** What an experiment is given. */
export interface Context {
  /** Few repetitions and small sizes: it shows that all of it runs, and about what comes out. */
  quick: boolean;
  /** Three hosts, of Docker 26.1, 28.5 and 26.1, with coat's network on them; made when it is first asked for. */
  lab: () => Promise<Lab>;
  signal: AbortSignal;
  /** A line about how it is getting on. */
  note: (line: string) => void;
}

/** One number by which two runs are compared. */
export interface Metric {
  name: string;
  unit: string;
  value: number;
  better: 'less' | 'more';
  /** A difference of no more than this is none, in the metric's unit: what the machine's clock and its other work make of it. */
  slack?: number;
}

/** Something that is measured. What it found is data only; pictures are made of that, and can be made again later. */
export interface Experiment<T> {
  /** As in `--only`. */
  id: string;
  title: string;
  /** What was done and what it is about, in sentences. */
  about: string;
  run(context: Context): Promise<T>;
  figures(data: T): Figure[];
  metrics(data: T): Metric[];
  /** What went wrong that should not, though there are figures. */
  failures?(data: T): string[];
}

export type AnyExperiment = Experiment<never>;
