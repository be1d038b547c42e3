import type { Metric } from '../experiment.ts';
import type { Versions } from '../versions.ts';
import type { Figure } from './figure.ts';

/** One experiment of a run, as it is kept. */
export interface Kept {
  id: string;
  title: string;
  about: string;
  /** s */
  took: number;
  /** Everything that was measured. */
  data?: unknown;
  metrics: Metric[];
  /** Why it came to no end, and what failed in one that did. */
  failures: string[];
}

/** A whole run, as its JSON file has it. */
export interface Kit {
  /** Of this document. */
  format: 1;
  coat: string;
  quick: boolean;
  /** Absent where nothing needed a lab. */
  machine?: Versions;
  /** The machine's load (1 minute) at the begin and at the end: what else ran there counts too. */
  load: [number, number];
  /** s */
  took: number;
  experiments: Kept[];
}

/** What a page has of an experiment. */
export interface Section extends Kept {
  figures: Figure[];
}

export const seconds = (value: number): string => (value < 100 ? `${Math.round(value)} s` : `${Math.round(value / 60)} min`);

/** On what it was measured, a line each. */
export function machineLines({ coat, quick, machine, load, took }: Kit): string[] {
  const engines = machine?.hosts.map(({ name, docker, runc, criu }) => `${name}: Docker ${docker}, runc ${runc}, CRIU ${criu}`) ?? [];
  return [
    `COAT ${coat}${machine ? `, ${machine.date}` : ''}; ${quick ? 'a quick run: few repetitions, small sizes' : 'a full run'}, ${seconds(took)}`,
    ...(machine ? [`Linux ${machine.kernel}, ${machine.processor}, ${machine.memory} GiB, cgroup v${machine.cgroup}, Node ${machine.node}`] : []),
    ...engines,
    `load of the machine ${load.map((each) => each.toFixed(1)).join(' before, ')} after`,
  ];
}
