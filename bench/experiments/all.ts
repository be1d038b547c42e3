import type { Experiment } from '../experiment.ts';
import { alternatives } from './alternatives.ts';
import { gap } from './gap.ts';
import { many } from './many.ts';
import { network } from './network.ts';
import { overhead } from './overhead.ts';
import { paper } from './paper.ts';
import { scale } from './scale.ts';
import { services } from './services.ts';

/** Whatever its data is: it goes from `run` to `figures` through a file. */
const plain = <T>(experiment: Experiment<T>): Experiment<unknown> => experiment;

/** In the order in which they run, and of the report. */
export const EXPERIMENTS: readonly Experiment<unknown>[] = [plain(gap), plain(services), plain(paper), plain(overhead), plain(alternatives), plain(many), plain(network), plain(scale)];
