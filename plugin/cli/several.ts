import type { MigrationRequest, Problem } from '../agent/api.ts';
import type { Agent } from './agent.ts';
import { type Ended, moveOne } from './follow.ts';
import type { Interrupt } from './interrupt.ts';
import { problemOf } from './problem.ts';
import { plainLine } from './render/progress.ts';
import { isLive, paintFor, type Scene } from './scene.ts';
import { warningLine } from './watch.ts';

/** One of several moves: where to, and where else if that host refuses it. */
export interface Wish {
  request: MigrationRequest;
  /** Other destinations, the best first. */
  instead?: string[];
}

/** What a destination refuses that another one may not; see ../migration/preflight.ts. */
const OF_DESTINATION: readonly string[] = ['name-taken', 'no-runtime', 'storage-differs', 'architecture', 'no-network', 'no-mount', 'no-memory', 'no-criu', 'old-criu', 'peer-away', 'create-failed', 'restore-failed'];

const NOT_BEGUN: Problem = { code: 'cancelled', message: 'it was not begun', hint: 'the command was cancelled before' };

/** Makes several moves, so many at a time, in their order. Never throws: each says what became of it. */
export async function moveAll(scene: Scene, agent: Agent, wishes: readonly Wish[], { parallel, stop, quiet }: { parallel: number; stop: Interrupt; quiet: boolean }): Promise<Ended[]> {
  const ended: Ended[] = [];
  const began = performance.now();
  const { stderr, env } = scene;
  const say = (line: string): void => void (quiet || stderr.write(`${line}\n`));
  const paint = paintFor(stderr, env);
  let next = 0;
  let done = 0;
  const one = async ({ request, instead = [] }: Wish): Promise<Ended> => {
    const name = request.container;
    let last: Ended | undefined;
    for (const to of [request.to, ...instead]) {
      if (stop.signal.aborted) return last ?? { request, problem: NOT_BEGUN };
      last = await moveOne(agent, env, { ...request, to }, stop, {
        say: (line) => say(`${name}: ${line}`),
        show: (event) => {
          if (event.type === 'warning') return say(paint.yellow(`${name}: ${warningLine(event.message)}`));
          const line = event.type === 'started' || (event.type === 'phase' && !isLive(stderr, env)) ? plainLine(event, performance.now() - began) : undefined;
          if (line !== undefined) say(event.type === 'started' ? line : `${line.padEnd(22)}${name}`);
        },
      }).catch((error: unknown) => ({ request, problem: problemOf(error) }));
      if (last.problem === undefined || !OF_DESTINATION.includes(last.problem.code)) break;
    }
    return last!;
  };
  const work = async (): Promise<void> => {
    for (let i = next++; i < wishes.length; i = next++) {
      const result = (ended[i] = await one(wishes[i]!));
      done += 1;
      say(`${done} of ${wishes.length}: ${result.request.container} ${result.problem === undefined ? `runs on ${result.report!.to}` : `stays: ${result.problem.message}`}`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallel, wishes.length) }, work));
  return ended;
}
