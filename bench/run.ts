import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../driver/host/errors.ts';
import { removeContainers, startServer } from '../lab/demo/stage.ts';
import type { Lab } from '../lab/lab.ts';
import type { Report } from '../plugin/agent/api.ts';
import { Pulse } from './pulse.ts';
import { longestIn, type Span } from './statistics.ts';
import type { Way } from './ways/way.ts';
import type { Workload } from './workloads.ts';

const SERVER = 'bench-server';
const CLIENT = 'bench-client';
/** Between two moves, ms: long enough that a gap ends before the next move begins. */
const PAUSE_MS = 500;
/** The hosts that the container changes between. The client is on the third. */
const SIDES = ['h1', 'h2'] as const;

export interface Move extends Span {
  report: Report;
  /** The longest silence of the client that falls into the move, ms. Under 20 ms it is not told, and counts as 0. */
  gap: number;
}

export interface Result {
  moves: Move[];
  /** Why the last move was not one, if it was not. */
  failure?: string;
  requests: number;
  /** Connections that broke, or carried a wrong byte. */
  lost: number;
  errors: string[];
  /** Retransmission time-outs of the client's kernel. */
  timeouts: number;
}

export interface RunOptions {
  moves: number;
  signal: AbortSignal;
  /** Told of each move. */
  tell: (done: number, report: Report) => void;
}

/** Moves one workload there and back while a client talks to it. */
export async function measure(lab: Lab, workload: Workload, way: Way, { moves: wanted, signal, tell }: RunOptions): Promise<Result> {
  await removeContainers(lab, [SERVER, CLIENT]);
  const address = await startServer(lab.host(SIDES[0]), SERVER, workload.argv, 'ready', signal);
  const pulse = await Pulse.start(lab.host('h3'), CLIENT, address, signal);
  const done: (Span & { report: Report })[] = [];
  let failure: string | undefined;
  await sleep(PAUSE_MS, undefined, { signal });
  for (let i = 0; i < wanted && failure === undefined; i += 1) {
    const from = Date.now();
    try {
      const report = await way.move(lab, SERVER, SIDES[i % 2]!, SIDES[(i + 1) % 2]!, signal, workload.options);
      await sleep(PAUSE_MS, undefined, { signal });
      done.push({ from, to: Date.now(), report });
      tell(i + 1, report);
    } catch (error) {
      signal.throwIfAborted();
      failure = explain(error);
    }
  }
  const { gaps, requests, alive, errors, timeouts } = await pulse.stop();
  await removeContainers(lab, [SERVER, CLIENT]);
  const moves = done.map((move) => ({ ...move, gap: longestIn(gaps, move) }));
  return { moves, ...(failure === undefined ? {} : { failure }), requests, lost: 1 - alive, errors, timeouts };
}
