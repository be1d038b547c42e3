import { randomUUID } from 'node:crypto';
import { access } from 'node:fs/promises';
import os from 'node:os';
import type { Readable } from 'node:stream';
import { CoatError, explain } from '../../driver/host/errors.ts';
import { KeyedQueue } from '../../driver/host/queue.ts';
import type { PeerRoutes } from '../agent/peer.ts';
import { whyNotLazy } from '../criu/features.ts';
import { Afterwards, isPlaced } from './afterwards.ts';
import { Arrival } from './arrival.ts';
import { addressOf } from './claims.ts';
import { clearAway } from './clearing.ts';
import { cpuFeatures } from './cpu.ts';
import { criuFacts } from './facts.ts';
import { isStore } from '../engine/layers.ts';
import { ImageIntake } from './image.ts';
import type { DestinationEntry } from './journal.ts';
import { Ledger } from './ledger.ts';
import { findLog } from './log/place.ts';
import { keepRestOfLog } from './log/receive.ts';
import { lodgings, makeVolumes, missingRoom, volumesThere } from './lodging.ts';
import type { MoverDependencies } from './ports.ts';
import { refusalAtDestination } from './preflight.ts';
import { type Arrival as Arrived, Arming, ImageHave, ImageKnown, ImagePull, Offer, type Outcome, parse, Preparation, Reference, Signal, type Verdict } from './protocol.ts';
import { unpinned } from './spec.ts';

/**
 * The destination's side of every move.
 *
 * INVARIANTS
 * - Requests of one move run one at a time (a queue per id).
 * - `running` is journalled before the source hears of it and before the first held frame is let go.
 * - Once it is `aborted`, nothing of that id is ever restored. On disk it stays `arriving` until all is cleared away, which means the same to
 *   the next agent.
 */
export class Receiver {
  readonly #deps: MoverDependencies;
  readonly #ledger: Ledger;
  readonly #afterwards: Afterwards;
  readonly #arrivals = new Map<string, Arrival>();
  /** Aborted ones of which something is still here, as the engine or the disk could not be asked. */
  readonly #uncleared = new Set<string>();
  /** What ends the watch over a source. */
  readonly #watches = new Map<string, () => void>();
  readonly #queue = new KeyedQueue();

  constructor(deps: MoverDependencies) {
    this.#deps = deps;
    this.#ledger = new Ledger(deps.journal);
    this.#afterwards = new Afterwards(deps, this.#ledger);
  }

  register(routes: PeerRoutes): void {
    const inTurn = <T>(id: string, work: () => Promise<T>): Promise<T> => this.#queue.run(id, work);
    const idOf = (query: URLSearchParams): string => parse(Reference, { id: query.get('id') }).id;
    routes.call('/v1/moves/check', (body) => this.#check(parse(Offer, body)));
    const image = new ImageIntake(this.#deps);
    routes.call('/v1/moves/pull', (body) => image.pull(parse(ImagePull, body)));
    routes.call('/v1/moves/have', (body) => image.have(parse(ImageHave, body)));
    routes.call('/v1/moves/known', (body) => image.known(parse(ImageKnown, body)));
    routes.upload('/v1/moves/image', (stream) => this.#deps.images.load(stream).then(() => ({})));
    routes.call('/v1/moves/prepare', (body, from) => {
      const preparation = parse(Preparation, body);
      return inTurn(preparation.id, () => this.#prepare(preparation, from));
    });
    routes.upload('/v1/moves/files', (stream, query) => inTurn(idOf(query), () => this.#arrival(idOf(query)).files.first(stream, query.get('volume') ?? undefined).then(() => ({}))));
    routes.call('/v1/moves/ahead', (body) => inTurn(parse(Reference, body).id, () => this.#arrival(parse(Reference, body).id).ahead().then(() => ({}))));
    routes.upload('/v1/moves/init', (stream, query) => inTurn(idOf(query), () => this.#arrival(idOf(query)).files.init(stream).then(() => ({}))));
    routes.upload('/v1/moves/log', (stream, query) => inTurn(idOf(query), () => this.#arrival(idOf(query)).files.log(stream, query.get('suffix') ?? '').then(() => ({}))));
    routes.upload('/v1/moves/log-rest', (stream, query) => inTurn(idOf(query), () => this.#restOfLog(idOf(query), Number(query.get('at')), query.get('was') ?? '', stream)));
    routes.call('/v1/moves/ready', (body) => inTurn(parse(Reference, body).id, () => this.#arrival(parse(Reference, body).id).ready().then(() => ({}))));
    routes.call('/v1/moves/arm', (body) => {
      const { id, descriptors } = parse(Arming, body);
      return inTurn(id, () => this.#arrival(id).arm(descriptors).then(() => ({})));
    });
    routes.call('/v1/moves/accept', (body) => inTurn(parse(Reference, body).id, () => this.#arrival(parse(Reference, body).id).accept().then(() => ({}))));
    routes.upload('/v1/moves/delta', (stream, query) => inTurn(idOf(query), () => this.#delta(idOf(query), stream, query.get('volume') ?? undefined).then(() => ({}))));
    routes.call('/v1/moves/land', (body) => inTurn(parse(Reference, body).id, () => this.#land(parse(Reference, body).id)));
    routes.call('/v1/moves/outcome', (body, from) => {
      const { id } = parse(Reference, body);
      // whoever asks will send no more: what waits for it is to end
      this.#arrivals.get(id)?.stopReceiving();
      return inTurn(id, () => this.#outcome(id, from));
    });
    routes.call('/v1/moves/signal', (body) => {
      const { id, signal } = parse(Signal, body);
      return inTurn(id, () => this.#signal(id, signal));
    });
    routes.call('/v1/moves/finish', (body) => inTurn(parse(Reference, body).id, () => this.#finish(parse(Reference, body).id)));
  }

  /** After a restart: what had not been committed never will be; what had is seen through. */
  async recover(): Promise<void> {
    for (const { role, id } of await this.#deps.journal.all()) {
      if (role !== 'destination') continue;
      await this.#queue.run(id, async () => {
        // read anew in its turn: the source may have asked for the outcome meanwhile
        const entry = await this.#ledger.find(id);
        if (entry?.state === 'arriving') await this.#abort(id, 'the agent of the destination was restarted');
        if (entry?.state !== 'running') return;
        for (const { network, ip } of entry.endpoints) await this.#deps.overlay.release(network, ip).catch(() => undefined);
        this.#afterwards.resume(entry);
      });
    }
  }

  async #check(offer: Offer): Promise<Verdict> {
    const { containers, images, layers, overlay, host, self, criu } = this.#deps;
    const engine = await containers.facts();
    const [image, named] = await Promise.all([images.like(offer.image), images.inspect(offer.image.ref)]);
    const there = await Promise.all(offer.binds.map((path) => access(host.path(path)).then(() => undefined, () => path)));
    const refusal = refusalAtDestination({
      self,
      offer,
      nameTaken: (await containers.inspect(offer.container)) !== undefined,
      runtimes: engine.runtimes,
      storage: engine.storage,
      api: engine.api,
      architecture: os.arch(),
      cpu: await cpuFeatures(host),
      networks: new Set(overlay.networksOnEngine().values()),
      missingBinds: there.filter((path) => path !== undefined),
      volumes: await volumesThere(this.#deps, offer.volumes),
      volumeDrivers: engine.volumeDrivers,
      disk: isStore(engine.storage) ? await missingRoom(host, { layers: await layers.root(engine), volumes: `${engine.root}/volumes` }, offer, image ? 'present' : 'absent') : { missing: 0, free: 0 },
      memoryAvailable: os.freemem(),
      criu: await criuFacts(criu),
      kernel: os.release(),
    });
    if (refusal) throw refusal;
    const notLazy = await criu.find().then((found) => whyNotLazy(host, found), explain);
    return { notLazy, image: image ? 'present' : 'absent', nameTaken: named !== undefined && named.content !== offer.image.content };
  }

  async #prepare(preparation: Preparation, from: string): Promise<Record<string, never>> {
    const { id, container, endpoints } = preparation;
    if (await this.#ledger.find(id)) throw new CoatError('known-move', `the migration ${id} has begun already`);
    const entry: DestinationEntry = { role: 'destination', id, container, peer: from, endpoints: endpoints.map(addressOf), volumes: await lodgings(this.#deps, preparation.volumes), state: 'arriving' };
    await this.#ledger.begin(entry);
    try {
      await makeVolumes(this.#deps, preparation.volumes);
      const free = endpoints.filter(({ network }) => !this.#deps.overlay.letsChoose(network)).map(({ name }) => name);
      const containerId = await this.#deps.containers.create(container, { ...unpinned(preparation.body, free), Image: await this.#imageName(preparation) });
      this.#arrivals.set(id, new Arrival(this.#deps, { ...preparation, source: from }, containerId));
      await this.#ledger.change(id, { containerId });
      // a source that dies may never come back to say that it was for nothing
      const died = (error: Error): void => void this.#queue.run(id, () => this.#abort(id, explain(error)));
      this.#watches.set(id, this.#deps.peers.get(from).watch({ destroy: died }));
    } catch (cause) {
      await this.#abort(id, explain(cause));
      throw new CoatError('create-failed', `the engine of ${this.#deps.self} would not create ${container}: ${explain(cause)}`, { cause });
    }
    return {};
  }

  /** The image's name, as at the source, where it means the same image here; otherwise its id. */
  async #imageName({ image }: Preparation): Promise<string> {
    const { images } = this.#deps;
    if ((await images.inspect(image.ref))?.content === image.content) return image.ref;
    return (await images.like(image))?.id ?? image.id;
  }

  async #delta(id: string, stream: Readable, volume: string | undefined): Promise<void> {
    const { timeline, files } = this.#arrival(id);
    await timeline.step('apply changed files', () => files.delta(stream, volume));
  }

  async #land(id: string): Promise<Arrived> {
    const arrival = this.#arrival(id);
    const entry = this.#ledger.get(id);
    if (entry?.state !== 'arriving') throw new CoatError('aborted', 'the migration was given up at the destination');
    let arrived, committed: DestinationEntry;
    try {
      arrived = await arrival.restore();
      // the commit: from here on the container is this host's
      const { pages } = arrived;
      committed = { ...entry, state: 'running', ...(pages ? { pages } : {}) };
      await arrival.timeline.step('commit', () => this.#ledger.change(id, committed));
      this.#unwatch(id);
    } catch (error) {
      await this.#abort(id, explain(error));
      throw error;
    }
    // the container is here, whatever became of its hold
    const released = await arrival.release().finally(() => this.#afterwards.begin(committed, arrival, () => this.#arrivals.delete(id)));
    return { steps: arrival.timeline.steps, now: arrival.timeline.now(), released, ...arrived };
  }

  /** Whether a container of this host is here in part only. */
  fetching(containerId: string): boolean {
    return this.#ledger.all().some((entry) => entry.containerId === containerId && !isPlaced(entry));
  }

  async #outcome(id: string, from: string): Promise<Outcome> {
    const entry = await this.#ledger.find(id);
    if (entry?.state === 'running') return { state: 'running', pages: entry.pages as Outcome['pages'] };
    if (entry) await this.#abort(id, 'the source gave the migration up');
    // a promise about a move this host never heard of: should its first message come late, it is refused
    else await this.#ledger.begin({ role: 'destination', id, container: '', peer: from, endpoints: [], volumes: [], state: 'aborted' });
    return { state: 'aborted' };
  }

  /** The container was sent a signal at the source when it had gone over. */
  async #signal(id: string, signal: string): Promise<Record<string, never>> {
    const entry = await this.#ledger.find(id);
    if (entry?.state === 'running' && entry.containerId !== undefined) await this.#deps.containers.kill(entry.containerId, signal);
    return {};
  }

  /** What the container had logged at the source when that was asked last. */
  async #restOfLog(id: string, at: number, was: string, stream: Readable): Promise<{ placed: boolean }> {
    const entry = await this.#ledger.find(id);
    const inspect = entry?.state === 'running' && entry.containerId !== undefined ? await this.#deps.containers.inspect(entry.containerId) : undefined;
    const place = inspect && (await findLog(this.#deps.containers, inspect));
    const placed = place !== undefined && (await keepRestOfLog(this.#deps.host, place, at, was, stream));
    if (!placed) stream.resume();
    return { placed };
  }

  /** The source needs nothing of this any more. @throws CoatError `not-cleared` where it has to ask again */
  async #finish(id: string): Promise<Record<string, never>> {
    const entry = await this.#ledger.find(id);
    if (this.#uncleared.has(id)) await this.#clear(id, 'the source gave the migration up');
    if (this.#uncleared.has(id)) throw new CoatError('not-cleared', `${this.#deps.self} has not cleared away ${entry?.container} yet`);
    if (entry?.state === 'running') await this.#afterwards.finish(id);
    else await this.#ledger.forget(id);
    return {};
  }

  async #abort(id: string, why: string): Promise<void> {
    if (this.#ledger.get(id)?.state !== 'arriving') return;
    this.#ledger.giveUp(id);
    this.#unwatch(id);
    await this.#clear(id, why);
  }

  #unwatch(id: string): void {
    this.#watches.get(id)?.();
    this.#watches.delete(id);
  }

  /** Takes away what there is of an aborted one; what cannot be taken away now is when the source asks again. */
  async #clear(id: string, why: string): Promise<void> {
    const { log } = this.#deps;
    const entry = this.#ledger.get(id)!;
    const others = this.#ledger.all().filter((each) => each !== entry).flatMap(({ containerId }) => containerId ?? []);
    try {
      await clearAway(this.#deps, entry, this.#arrivals.get(id), new Set(others), why);
      this.#arrivals.delete(id);
      this.#uncleared.delete(id);
    } catch (error) {
      log.warn({ migration: id, error: explain(error) }, 'something of a move that was taken back is still here');
      this.#uncleared.add(id);
      return;
    }
    // last, as the disk may have been full of it
    await this.#ledger.change(id, {}).catch((error: unknown) => log.warn({ migration: id, error: explain(error) }, 'the journal of a move cannot be written'));
  }

  #arrival(id: string): Arrival {
    const arrival = this.#arrivals.get(id);
    if (!arrival) throw new CoatError('unknown-move', 'the destination does not know this migration', { hint: 'it may have been restarted; try again' });
    return arrival;
  }
}

export const newId = (): string => randomUUID();
