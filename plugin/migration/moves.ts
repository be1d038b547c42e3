import { CoatError, explain } from '../../driver/host/errors.ts';
import { operate } from '../../driver/host/operation.ts';
import type { Migration, MigrationDetails, MigrationEvent, MigrationFilter, MigrationRequest, NumberedEvent, Phase, Problem, Report } from '../agent/api.ts';
import { phases } from '../agent/api.ts';
import { EventLog } from './events.ts';
import { fits, type History } from './history.ts';
import type { MoverDependencies } from './ports.ts';

/** So many moves that ended have their events kept; of earlier ones only the last event is known, from the history. */
const EVENTS_OF = 50;

interface Kept {
  details: MigrationDetails;
  events: EventLog;
  stop: AbortController;
  /** Docker's id of the container. */
  containerId: string;
}

/** What a move is run with. */
export interface Going {
  emit: (event: MigrationEvent) => void;
  signal: AbortSignal;
}

/** The moves from this host as others see them: what is known of each, its events, and a way to stop it. */
export class Moves {
  readonly #deps: Pick<MoverDependencies, 'self' | 'log'>;
  readonly #history: History;
  readonly #kept = new Map<string, Kept>();

  constructor(deps: Pick<MoverDependencies, 'self' | 'log'>, history: History) {
    this.#deps = deps;
    this.#history = history;
  }

  /** The one of a container that is under way. */
  ofContainer(id: string): Migration | undefined {
    return [...this.#kept.values()].find(({ containerId, details }) => containerId === id && details.ended === undefined)?.details;
  }

  running(): MigrationDetails[] {
    return [...this.#kept.values()].map(({ details }) => details).filter(({ ended }) => ended === undefined);
  }

  /**
   * Begins one, which goes on by itself. `run` never throws: its report says what became of it.
   *
   * @param asked the host at which it was asked for
   */
  begin(id: string, container: { id: string; name: string }, request: MigrationRequest, asked: string, run: (going: Going) => Promise<Report>): Migration {
    const { self } = this.#deps;
    const details: MigrationDetails = { id, container: container.name, from: self, to: request.to, asked, started: Date.now(), phase: 'planned', request };
    const kept: Kept = { details, events: new EventLog(), stop: new AbortController(), containerId: container.id };
    this.#kept.set(id, kept);
    const answer = { ...details };
    void operate(async () => {
      await this.#remember(details);
      await run({ emit: (event) => this.#heard(kept, event), signal: kept.stop.signal });
    }, id).catch((error: unknown) => this.#deps.log.error({ migration: id, error: explain(error) }, 'a move ended with an error nobody foresaw'));
    return summaryOf(answer);
  }

  /** @throws CoatError `too-late`, `no-migration` */
  async cancel(id: string): Promise<Migration> {
    const details = this.#kept.get(id)?.details ?? (await this.#history.read(id));
    if (details === undefined) throw noMigration(id);
    if (details.ended !== undefined) throw new CoatError('too-late', `the move of ${details.container} has ended already: ${details.outcome}`, { hint: `docker coat inspect ${id} says more` });
    const kept = this.#kept.get(id);
    if (kept === undefined || atLeast(details.phase, 'restoring')) {
      throw new CoatError('too-late', `it is too late to cancel the move of ${details.container}: ${details.to} has all of it, and may run it already`, { hint: `if it does, it can be moved back: docker coat migrate ${details.container} ${details.from}` });
    }
    kept.stop.abort(new CoatError('cancelled', 'the move was cancelled', { hint: `${details.container} goes on where it was` }));
    return summaryOf(details);
  }

  async get(id: string): Promise<MigrationDetails | undefined> {
    return this.#kept.get(id)?.details ?? (await this.#history.read(id));
  }

  async list(filter: MigrationFilter): Promise<Migration[]> {
    const running = this.running().filter((move) => fits(move, filter));
    const ids = new Set(running.map(({ id }) => id));
    const past = (await this.#history.list(filter)).filter(({ id }) => !ids.has(id));
    return [...running, ...past].map(summaryOf);
  }

  /** @throws CoatError `no-migration` */
  async *follow(id: string, after: number, signal: AbortSignal): AsyncGenerator<NumberedEvent, void> {
    const kept = this.#kept.get(id) ?? (await this.#recall(id));
    yield* kept.events.after(after, signal);
  }

  /** What an earlier life of this agent began, and did not see the end of. */
  async interrupted(): Promise<MigrationDetails[]> {
    const all = await this.#history.list({ state: 'running' });
    return all.filter(({ id, from }) => from === this.#deps.self && (this.#kept.get(id)?.containerId ?? '') === '');
  }

  /** Tells of the end of one that was {@link Moves.interrupted}. */
  async concluded(id: string, state: 'running' | 'aborted'): Promise<MigrationDetails | undefined> {
    const details = await this.#history.read(id);
    if (details === undefined || details.ended !== undefined) return undefined;
    const { container, from, to, started } = details;
    const why = `the agent of ${from} was restarted in the middle of the move`;
    const report: Report = { id, container, from, to, outcome: state === 'running' ? 'migrated' : 'rolled-back', total: Date.now() - started, phases: [], steps: [], bytes: { memory: 0, state: 0, files: 0, image: 0 }, warnings: [why] };
    const kept = await this.#recall(id);
    this.#heard(kept, state === 'running' ? { type: 'done', report } : { type: 'failed', report, problem: { code: 'interrupted', message: why, hint: 'try again' } });
    return kept.details;
  }

  /** What another host says of a move to this one. */
  async learn(details: MigrationDetails): Promise<void> {
    await this.#history.write(details);
  }

  async #recall(id: string): Promise<Kept> {
    const details = await this.#history.read(id);
    const again = this.#kept.get(id);
    if (again !== undefined) return again;
    if (details === undefined) throw noMigration(id);
    const kept: Kept = { details, events: new EventLog(), stop: new AbortController(), containerId: '' };
    if (details.report !== undefined) kept.events.append(lastOf(details.report, details.problem));
    this.#kept.set(id, kept);
    this.#trim();
    return kept;
  }

  #heard(kept: Kept, event: MigrationEvent): void {
    const { details, events } = kept;
    if (event.type === 'phase') {
      details.phase = event.phase;
      // the agent may die before it can say that the container has gone over
      if (event.phase === 'released') void this.#remember(details);
    }
    if (event.type === 'done' || event.type === 'failed') {
      finish(details, event.report, event.type === 'failed' ? event.problem : undefined);
      void this.#remember(details);
    }
    events.append(event);
    this.#trim();
  }

  async #remember(details: MigrationDetails): Promise<void> {
    await this.#history.write(details).catch((error: unknown) => this.#deps.log.warn({ migration: details.id, error: explain(error) }, 'the history of moves cannot be written'));
  }

  #trim(): void {
    const ended = [...this.#kept].filter(([, { details }]) => details.ended !== undefined).map(([id]) => id);
    for (const id of ended.slice(0, Math.max(0, ended.length - EVENTS_OF))) this.#kept.delete(id);
  }
}

export const noMigration = (id: string): CoatError => new CoatError('no-migration', `there is no migration ${id}`, { hint: 'docker coat history lists those that are remembered' });

export function summaryOf(details: MigrationDetails): Migration {
  const { request: _request, report: _report, ...summary } = details;
  return summary;
}

function finish(details: MigrationDetails, report: Report, problem: Problem | undefined): void {
  const { outcome, blackout, total, bytes, container } = report;
  Object.assign(details, { container, ended: Date.now(), outcome, total, bytes, report, ...(blackout === undefined ? {} : { blackout }), ...(problem === undefined ? {} : { problem }) });
}

function lastOf(report: Report, problem: Problem | undefined): MigrationEvent {
  return problem === undefined ? { type: 'done', report } : { type: 'failed', problem, report };
}

const atLeast = (phase: Phase, other: Phase): boolean => phases.indexOf(phase) >= phases.indexOf(other);
