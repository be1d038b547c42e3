import { setTimeout as sleep } from 'node:timers/promises';
import { CoatError } from '../../driver/host/errors.ts';
import type { MigrationEvent, MigrationRequest, Problem, Report } from '../agent/api.ts';
import type { Agent } from './agent.ts';
import type { Interrupt } from './interrupt.ts';
import { problemOf } from './problem.ts';

/** How long an agent may be away in the middle of a move, s: Docker starts one that died again within a few. `COAT_PATIENCE` says otherwise. */
const PATIENCE_S = 30;
/** Between two attempts to hear from it, ms. */
const PAUSE_MS = 500;

/** How a move that was asked for ended, as far as anybody says. */
export interface Ended {
  request: MigrationRequest;
  /** Absent where it was refused before it began. */
  report?: Report;
  problem?: Problem;
}

/** What is told while it goes on. */
export interface Told {
  show(event: MigrationEvent): void;
  /** A sentence about what the user has just wanted. */
  say(line: string): void;
}

/**
 * Moves one container and waits for the end. A wish to stop cancels it, unless it is too late for that.
 *
 * @throws CoatError `agent-away` where nobody says how it ended
 */
export async function moveOne(agent: Agent, env: NodeJS.ProcessEnv, request: MigrationRequest, stop: Interrupt, told: Told): Promise<Ended> {
  const begun = await agent.create(request).catch((error: unknown) => problemOf(error));
  if ('code' in begun) return { request, problem: begun };
  const cancel = (): void => void agent.cancel(begun.id).then(() => told.say(`cancelling… ${begun.container} stays on ${begun.from}`), (error: unknown) => told.say(sentence(error)));
  if (stop.signal.aborted) cancel();
  stop.signal.addEventListener('abort', cancel);
  try {
    for await (const event of follow(agent, begun.id, patience(env))) {
      if (event.type === 'done') return { request, report: event.report };
      if (event.type === 'failed') return { request, report: event.report, problem: event.problem };
      told.show(event);
    }
  } finally {
    stop.signal.removeEventListener('abort', cancel);
  }
  throw abandoned();
}

/** The events of a move up to its last, through restarts of the agents. Ends without that one where they stay away for too long. */
async function* follow(agent: Agent, id: string, patience: number): AsyncGenerator<MigrationEvent, void> {
  let seq = 0;
  let lost: number | undefined;
  const never = new AbortController().signal;
  while (lost === undefined || Date.now() - lost <= patience) {
    try {
      for await (const numbered of agent.events(id, seq, never)) {
        seq = numbered.seq;
        lost = undefined;
        yield numbered.event;
        if (numbered.event.type === 'done' || numbered.event.type === 'failed') return;
      }
    } catch (error) {
      if (!(error instanceof CoatError) || error.code === 'bad-answer') throw error;
    }
    lost ??= Date.now();
    await sleep(Math.min(PAUSE_MS, patience));
  }
}

function patience({ COAT_PATIENCE: wanted }: NodeJS.ProcessEnv): number {
  const seconds = Number(wanted ?? PATIENCE_S);
  return (Number.isFinite(seconds) ? seconds : PATIENCE_S) * 1_000;
}

const sentence = (error: unknown): string => {
  const { message } = problemOf(error);
  return message;
};

function abandoned(): CoatError {
  return new CoatError('agent-away', 'The coat agent went away before it said how the migration ended.', {
    hint: "It finishes or undoes the migration from its journal when it is back: see 'docker coat history'.",
  });
}
