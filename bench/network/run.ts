import { createNetwork, openLab } from '../../lab/demo/stage.ts';
import { type Means, writeJson } from '../means.ts';
import { versionsText } from '../report.ts';
import { versions } from '../versions.ts';
import { measureProgramming } from './program.ts';
import { networkText, type NetworkResults } from './report.ts';
import { measureStarts } from './start.ts';
import { measureTraffic } from './traffic.ts';

export const PARTS = ['traffic', 'starts', 'endpoints'] as const;

export interface NetworkOptions extends Means {
  name: string;
  /** Of {@link PARTS}; all, where none is named. */
  part?: string[];
  rounds: number;
  /** s */
  seconds: number;
  starts: number;
  endpoints: number;
}

/** The network side by side with one made by hand and with Docker's own. @returns true: what a machine reaches is no failure */
export async function benchNetwork({ name, part, rounds, seconds, starts, endpoints, json, signal, say, note }: NetworkOptions): Promise<boolean> {
  const lab = await openLab(name, { log: note, signal });
  await createNetwork(lab, signal);
  const machine = await versions(lab);
  say(versionsText(machine));
  const results: NetworkResults = {};
  const wanted = (each: (typeof PARTS)[number]): boolean => part === undefined || part.includes(each);
  const tell = (what: string, of: number) => (done: number): void => (done % 10 === 0 || done === of ? note(`${what}: ${done} of ${of}`) : undefined);
  if (wanted('traffic')) results.traffic = await measureTraffic(lab, { rounds, seconds, signal, tell: tell('traffic', rounds) });
  if (wanted('starts')) {
    results.starts = {};
    // one of each engine; the first host has the store
    for (const host of lab.hosts.slice(0, 2)) results.starts[host.name] = await measureStarts(lab, { host, count: starts, signal, tell: tell(`starts on ${host.name}`, starts) });
  }
  if (wanted('endpoints')) results.endpoints = await measureProgramming(lab, { count: endpoints, signal, tell: tell('endpoints', endpoints) });
  say(networkText(results));
  await writeJson(json, { ...machine, rounds, seconds, results });
  return true;
}
