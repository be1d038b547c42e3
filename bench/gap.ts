import { createNetwork, openLab } from '../lab/demo/stage.ts';
import { writeJson, type Means } from './means.ts';
import { resultText, versionsText } from './report.ts';
import { measure, type Result } from './run.ts';
import { versions } from './versions.ts';
import { coat } from './ways/coat.ts';
import { workloads } from './workloads.ts';

export interface GapOptions extends Means {
  name: string;
  moves: number;
  /** All, where none is named. */
  workload?: string[];
}

/** How long a peer of a connection hears nothing while the other end is moved. @returns whether no connection was lost and no move failed */
export async function benchGap({ name, moves, workload: names, json, signal, say, note }: GapOptions): Promise<boolean> {
  const lab = await openLab(name, { log: note, signal });
  await createNetwork(lab, signal);
  const machine = await versions(lab);
  say(versionsText(machine));
  const results: Record<string, Result> = {};
  for (const each of names ?? Object.keys(workloads)) {
    const tell = (done: number): void => note(`${each}: ${done} of ${moves} moves`);
    results[each] = await measure(lab, workloads[each]!, coat, { moves, signal, tell: (done) => (done % 10 === 0 || done === moves ? tell(done) : undefined) });
    say(resultText(each, workloads[each]!, results[each]));
    // after each, so that what was measured is not lost with what comes after
    await writeJson(json, { ...machine, way: coat.about, moves, results });
  }
  return Object.values(results).every(({ failure, lost }) => failure === undefined && lost === 0);
}
