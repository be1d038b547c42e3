import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoatError, explain } from '../../driver/host/errors.ts';
import { allOf } from '../../driver/host/all.ts';
import { Undo } from '../../driver/host/undo.ts';
import type { MigrationEvent, MigrationRequest, Phase, Report, Strategy } from '../agent/api.ts';
import { announce, changeClaim, keepHere, redirect, withdraw } from './claims.ts';
import { Departure } from './departure.ts';
import type { PagesOutcome } from './fetch.ts';
import { ImageOutlet } from './imageout.ts';
import type { SourceEntry } from './journal.ts';
import { endAtSource } from './leaving.ts';
import { lend, type Lenders, placed } from './lend.ts';
import { judge, stoppedMeanwhile } from './meddling.ts';
import { preparationOf, sourceEntry } from './papers.ts';
import { Patience } from './patience.ts';
import { type Plan, planMove } from './plan.ts';
import type { MoverDependencies } from './ports.ts';
import { asProblem } from './problem.ts';
import type { Arrival, Outcome } from './protocol.ts';
import { recoverSource, seeWithdrawn } from './recover.ts';
import { redirectEverywhere } from './redirect.ts';
import { Timeline } from './timeline.ts';

/** How often a destination that may have committed is asked, ms. */
const ASK_EVERY_MS = 500;

export type Emit = (event: MigrationEvent) => void;

/**
 * Moves one container from this host to another. Reads from top to bottom as the phases of docs/migration.md.
 *
 * INVARIANT: the source thaws only if the destination cannot have committed, or has promised not to.
 */
export class Move {
  readonly id: string;
  phase: Phase = 'planned';
  readonly #deps: MoverDependencies;
  readonly #lenders: Lenders;
  readonly #request: MigrationRequest;
  readonly #emit: Emit;
  readonly #signal: AbortSignal;
  /** Ends the move from within: the user has done something with the container, or a phase takes too long. */
  readonly #stop = new AbortController();
  readonly #patience: Patience;
  /** What the container was sent when it could have gone over already. */
  readonly #signals: string[] = [];
  readonly #timeline: Timeline;
  readonly #warnings: string[] = [];
  #departure: Departure | undefined;
  #name: string;
  #strategy: Strategy | undefined;
  #image: Report['image'] | undefined;
  #lost = false;

  constructor(deps: MoverDependencies, lenders: Lenders, id: string, request: MigrationRequest, emit: Emit, signal: AbortSignal) {
    this.#deps = deps;
    this.#lenders = lenders;
    this.id = id;
    this.#request = request;
    this.#emit = emit;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
    this.#patience = new Patience((error) => this.#stop.abort(error), request);
    this.#timeline = new Timeline(deps.self);
    this.#name = request.container;
  }

  get to(): string {
    return this.#request.to;
  }

  /** Never throws: what happened is the last event. */
  async run(): Promise<Report> {
    using _patience = this.#patience;
    try {
      this.#emit({ type: 'started', id: this.id, container: this.#name, from: this.#deps.self, to: this.#request.to });
      this.#enter('planned');
      const plan = await this.#timeline.step('look at both hosts', () => planMove(this.#deps, this.#request));
      this.#strategy = plan.strategy;
      this.#name = plan.name;
      for (const command of plan.ending) this.#warn(`what docker exec has started in ${plan.name} ends with the move: ${command}`);
      await this.#move(plan);
      const report = this.#report('migrated');
      this.#emit({ type: 'done', report });
      return report;
    } catch (error) {
      this.#deps.log.warn({ migration: this.id, container: this.#name, phase: this.phase, error: explain(error) }, 'a move has failed');
      const report = this.#report(this.#lost ? 'lost' : this.phase === 'planned' ? 'refused' : 'rolled-back');
      this.#emit({ type: 'failed', problem: asProblem(await this.#reason(error)), report });
      return report;
    }
  }

  /** The destination has made the way for the images. @returns whether it is expected */
  connect(way: Duplex): boolean {
    this.#departure?.connect(way);
    return this.#departure !== undefined;
  }

  /** The same for memory that comes ahead of it. */
  connectMemory(way: Duplex): boolean {
    this.#departure?.ahead.connect(way);
    return this.#departure !== undefined;
  }

  /** What a user did with the container says more than what broke of it. */
  async #reason(error: unknown): Promise<unknown> {
    if (this.#signal.aborted && !this.#lost) return this.#signal.reason as unknown;
    // before, nothing was touched; afterwards it does not run here any more
    return ['planned', 'released', 'cleaned'].includes(this.phase) ? error : ((await stoppedMeanwhile(this.#deps, this.#request.container, this.#name)) ?? error);
  }

  async #move(plan: Plan): Promise<void> {
    const { journal, log, peers, store, containers } = this.#deps;
    const { endpoints, inspect } = plan;
    const peer = peers.get(this.#request.to);
    const departure = (this.#departure = new Departure(this.#deps, plan, peer, this.id));
    const step = this.#timeline.step.bind(this.#timeline);
    const entry = sourceEntry(plan, this.#request, this.id);
    const preparation = preparationOf(plan, this.id);
    await using undo = new Undo((what, error) => log.error({ migration: this.id, what, error: explain(error) }, 'could not undo a step'));
    const promise = (): Promise<Outcome> => peer.call<Outcome>('/v1/moves/outcome', { id: this.id });
    // what the store, the engine or the destination has to do with may not be possible now, and then has to be done later
    const open = new Set<'store' | 'engine' | 'there'>();
    const undoWith = (where: 'store' | 'engine' | 'there', what: string, run: () => Promise<unknown>): void =>
      undo.add(what, async () => {
        // one that could not be asked is not waited for twice
        if (open.has(where)) return;
        open.add(where);
        await run();
        open.delete(where);
      });
    undo.add('journal', async () => {
      if (open.size === 0) return journal.remove(this.id);
      const left: SourceEntry = { ...entry, state: open.has('store') || open.has('engine') ? 'withdrawing' : 'withdrawn' };
      await journal.write(left);
      void seeWithdrawn(this.#deps, left);
    });
    await journal.write(entry);
    const unwatch = await containers.watch(inspect.Id, (event) => this.#meddled(judge(event, this.phase, plan.name)));
    await using _watch = { [Symbol.asyncDispose]: async () => unwatch() };

    this.#enter('prepared');
    this.#image = await new ImageOutlet(this.#deps, plan, peer, this.id).bring(step, this.#signal, counted(departure.bytes, this.#progress('image')));
    for (const endpoint of endpoints) {
      undoWith('store', 'announced claim', () => keepHere(this.#deps, endpoint));
      await changeClaim(store, endpoint, announce(peer.name));
    }
    undoWith('there', 'arrival', async () => {
      await promise();
      await peer.call('/v1/moves/finish', { id: this.id });
    });
    await step('create at destination', () =>
      peer.call('/v1/moves/prepare', preparation, { signal: this.#signal }),
    );

    this.#enter('copying');
    await step('send files', () => departure.sendFiles(this.#signal, this.#progress('files')));
    entry.log = departure.log;
    undo.add('memory', () => departure.cleanUp());
    if (plan.strategy === 'precopy') await step('send memory', () => departure.ahead.send(this.#signal, this.#progress('memory')));
    await allOf([
      step('ready at destination', () => peer.call('/v1/moves/ready', { id: this.id }, { signal: this.#signal, timeout: 60_000 })),
      step('prepare dump', () => departure.prepare()),
    ]);
    if (plan.strategy !== 'cold') {
      undo.add('expected memory', () => this.#lenders.forget(this.id));
      this.#lenders.expect(this.id);
    }
    await step('prepare restore', () => departure.armDestination());
    // late, as an engine that began anew while files were copied would leave the container down
    if (entry.restartPolicy) {
      undoWith('engine', 'restart policy', () => containers.setRestartPolicy(inspect.Id, entry.restartPolicy!));
      await containers.setRestartPolicy(inspect.Id, { Name: 'no' });
    }

    // ahead of the redirect, from which on peers wait
    if (plan.strategy === 'precopy') await step('send the rest of the memory', () => departure.ahead.sendLast(this.#signal));

    this.#signal.throwIfAborted();
    this.#enter('redirected');
    undoWith('store', 'redirect', () => redirectEverywhere(this.#deps, endpoints, withdraw(this.#deps.self), plan.reachable));
    await allOf([step('warm up', () => departure.warmUp()), step('accept', () => peer.call('/v1/moves/accept', { id: this.id }))]);
    for (const warning of await step('redirect', () => redirectEverywhere(this.#deps, endpoints, redirect(peer.name), plan.reachable))) this.#warn(warning);

    this.#signal.throwIfAborted();
    await departure.mustRun();
    this.#enter('frozen');
    undo.add('task', () => departure.forgetIfEnded(this.#signal));
    undo.add('freeze', () => departure.thaw().then(() => this.#timeline.thawed()));
    this.#timeline.frozen();
    // what is on its way may take long, and nobody wants it any more
    this.#signal.addEventListener('abort', () => departure.interrupt(this.#signal.reason), { once: true });
    await step('freeze', () => departure.freeze());
    undo.add('cut', () => departure.uncut());
    const { written } = await step('cut', () => departure.cut());
    await allOf([
      departure.dump(step).then((missed) => missed !== undefined && this.#warn(missed)),
      step('send changed files', () => departure.sendDelta(this.#signal)).then(() => departure.expectLanding()),
      // early, so that the disk is waited for while CRIU works: to be in doubt too soon costs a question, too late a second copy
      step('journal', () => journal.write({ ...entry, state: 'doubt' })),
      written,
    ]);

    this.#lenders.ready(this.id);
    // from here on only the destination knows whether it can be taken back
    this.#signal.throwIfAborted();
    this.#enter('restoring');
    const arrived = await this.#handOver(departure, promise);

    // -- the point of no return: the destination runs, the source may only clean up --
    undo.commit();
    if (arrived) {
      if (arrived.warning !== undefined) this.#warn(arrived.warning);
      this.#timeline.adopt(arrived.steps, arrived.now);
      this.#timeline.thawed(arrived.now - arrived.released);
    } else this.#timeline.thawed();
    this.#enter('released');
    unwatch();
    const behind = plan.strategy !== 'cold' && (arrived === undefined || arrived.pages === 'fetching');
    if (behind) this.#strategy = 'postcopy';
    const pages = behind ? await step('fetch pages', () => this.#lend(entry, departure)) : 'whole';

    this.#enter('cleaned');
    await step('clean up', () => this.#cleanUp(plan, entry, departure)).catch((error: unknown) => {
      this.#warn(`${this.#deps.self} has not cleaned up after the move yet, and tries again until it has: ${explain(error)}`);
      log.error({ migration: this.id, error: explain(error) }, 'could not clean up after a move');
      void recoverSource(this.#deps, { ...entry, state: 'left' });
    });
    if (pages !== 'whole') {
      this.#lost = true;
      throw new CoatError('container-lost', `${plan.name} ran on ${peer.name} before all of its memory was there, and had to be ended: ${pages.replace(/^lost /, '')}`, { hint: `docker start it on ${peer.name}; its files are there` });
    }
  }

  /**
   * Sends the last of it. When the answer does not come, only the destination knows what became of it: the source
   * stays frozen and asks until it is told.
   *
   * @throws what the destination said, when it has promised not to run the container
   */
  async #handOver(departure: Departure, promise: () => Promise<Outcome>): Promise<Arrival | undefined> {
    try {
      return await this.#timeline.step('hand over', () => departure.land());
    } catch (error) {
      for (let told = false; ; await sleep(ASK_EVERY_MS)) {
        const outcome = await promise().catch(() => undefined);
        if (outcome?.state === 'running') return undefined;
        if (outcome?.state === 'aborted') throw error;
        if (!told) this.#warn(`${this.#request.to} does not answer; the container stands still until it says whether it runs there`);
        told = true;
      }
    }
  }

  /** Gives the destination the memory that it runs without. Here the processes stand still until it has it all. */
  async #lend(entry: SourceEntry, departure: Departure): Promise<PagesOutcome> {
    // where it cannot be written, `doubt` does as well: whoever asks hears that it runs there
    await this.#deps.journal.write({ ...entry, state: 'lending' }).catch((error: unknown) => this.#deps.log.warn({ migration: this.id, error: explain(error) }, 'the journal of a move cannot be written'));
    const tell = this.#progress('memory');
    const carried = departure.bytes.memory;
    try {
      return await lend(this.#deps, entry, () => tell((departure.bytes.memory = carried + this.#lenders.lent(this.id))));
    } finally {
      departure.bytes.memory = carried + this.#lenders.lent(this.id);
      this.#lenders.forget(this.id);
    }
  }

  #meddled(answer: ReturnType<typeof judge>): void {
    if (answer?.take === 'back') this.#stop.abort(answer.why);
    if (answer?.take === 'along') this.#signals.push(answer.signal);
  }

  async #cleanUp(plan: Plan, entry: SourceEntry, departure: Departure): Promise<void> {
    await this.#deps.journal.write({ ...entry, state: 'left' });
    for (const signal of this.#signals) await this.#deps.peers.get(entry.peer).call('/v1/moves/signal', { id: this.id, signal });
    for (const complaint of await endAtSource(this.#deps, plan.container, entry)) this.#warn(complaint);
    await departure.cleanUp();
    const pages = plan.strategy === 'cold' ? 'whole' : await placed(this.#deps, entry);
    if (pages !== 'whole') this.#warn(`${plan.name} was ended on ${entry.peer}, as its memory could not be put in its place there: ${pages.replace(/^lost /, '')}`);
    await this.#deps.peers.get(entry.peer).call('/v1/moves/finish', { id: this.id });
    await this.#deps.journal.remove(this.id);
  }

  #enter(phase: Phase): void {
    this.phase = phase;
    this.#timeline.enter(phase);
    this.#patience.enter(phase);
    this.#emit({ type: 'phase', phase });
  }

  #warn(message: string): void {
    this.#warnings.push(message);
    this.#emit({ type: 'warning', message });
  }

  #progress(what: string): (bytes: number) => void {
    let last = 0;
    return (bytes) => {
      const now = performance.now();
      if (now - last < 100) return;
      last = now;
      this.#emit({ type: 'progress', what, bytes });
    };
  }

  #report(outcome: Report['outcome']): Report {
    const blackout = this.#timeline.blackout();
    return {
      id: this.id,
      container: this.#name,
      from: this.#deps.self,
      to: this.#request.to,
      outcome,
      ...(this.#strategy === undefined ? {} : { strategy: this.#strategy }),
      ...(this.#image === undefined ? {} : { image: this.#image }),
      ...(blackout === undefined ? {} : { blackout }),
      total: this.#timeline.now(),
      phases: this.#timeline.perPhase(),
      steps: this.#timeline.steps,
      bytes: this.#departure?.bytes ?? { memory: 0, state: 0, files: 0, image: 0 },
      warnings: this.#warnings,
    };
  }
}

/** Adds what was sent of an image. */
const counted = (bytes: { image: number }, tell: (bytes: number) => void) => (sent: number): void => tell((bytes.image += sent));
