import { readFile, writeFile } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import { CoatError, codeOf, explain } from '../../driver/host/errors.ts';
import { until } from '../../driver/host/until.ts';
import { addressesOf } from '../../driver/overlay/records.ts';
import { armDump, type ArmedDump, DESCRIPTORS, forgetDump } from '../criu/dump.ts';
import { kill } from '../criu/ending.ts';
import { isFrozen, processes, thaw } from '../criu/freezer.ts';
import { linkPages, mountMemory, PAGES, releaseMemory, reserveMemory, unmountMemory } from '../criu/memory.ts';
import { AHEAD } from '../memory/ahead.ts';
import { MemorySender } from '../memory/sender.ts';
import { forgetTask } from '../criu/shim.ts';
import type { Peer } from '../agent/peer.ts';
import { without } from '../transfer/archive.ts';
import { conclude, follow, isPages, type Sizes } from '../transfer/follow.ts';
import { stopped } from './facts.ts';
import { sendInit } from './inits.ts';
import type { JournalEntry } from './journal.ts';
import { findLog } from './log/place.ts';
import { lengthOf, rateOf, type SentLog, sendLog, sendRestOfLog } from './log/send.ts';
import type { Plan } from './plan.ts';
import { nameOf, refusedStopped } from './preflight.ts';
import { freezeInOrder } from './standstill.ts';
import type { MoverDependencies } from './ports.ts';
import { nameFor, notTaken } from './image.ts';
import type { Arrival, ImagePulled } from './protocol.ts';
import { keepUnread } from './unread.ts';

/** Changed files, what is asked meanwhile, and one to spare. */
const CONNECTIONS = 3;
/** For what has not come ahead the container stands still no longer than this, ms, where it need not have all of it. */
const STILL_MS = 50;
/** When the destination is asked what became of it instead of waited for, ms. Its own patience is shorter for all but huge containers. */
const LAND_MS = 120_000;

/** The images may still be on their way for as long as the link takes; the longest time of a timer (setTimeout in Node.js), ms. */
const FOREVER_MS = 2 ** 31 - 1;
/** How long a container that was sent a signal may take to end once it is thawed, ms; `docker stop` waits for 10 s. */
const ENDED_MS = 15_000;

/** The effects of a move on the source host; what may follow what is `send.ts`'s. */
export class Departure {
  readonly #deps: MoverDependencies;
  readonly #plan: Plan;
  readonly #peer: Peer;
  readonly #id: string;
  readonly #directory: string;
  readonly bytes = { memory: 0, state: 0, files: 0, image: 0 };
  /** What is already there of its log. */
  log: SentLog | undefined;
  readonly #sent: Sizes = {};
  #dump: ArmedDump | undefined;
  /** Where the images go; the destination has made it. */
  #way: Duplex | undefined;
  #landing: Promise<Arrival> | undefined;
  #memory: MemorySender | undefined;
  #memoryWay: Duplex | undefined;
  readonly #patience = new AbortController();

  constructor(deps: MoverDependencies, plan: Plan, peer: Peer, id: string) {
    this.#deps = deps;
    this.#plan = plan;
    this.#peer = peer;
    this.#id = id;
    this.#directory = departureDirectory(id);
  }

  get #reserve(): string {
    return `${this.#directory}/${PAGES}/reserved`;
  }

  /** Has the destination pull the image. @returns whether it did; a registry that refuses or is away is no error */
  async pullImage(signal: AbortSignal): Promise<boolean> {
    const { images } = this.#deps;
    const { image, verdict } = this.#plan;
    const name = await nameFor(images, image, verdict.nameTaken);
    const pulled = await this.#peer.call<ImagePulled>('/v1/moves/pull', { image, ...(name === undefined ? {} : { name }) }, { signal, timeout: FOREVER_MS });
    return pulled.pulled;
  }

  /** Sends the image, without the layers that the destination has; and all of it where that did not do. */
  async sendImage(signal: AbortSignal, progress: (bytes: number) => void): Promise<void> {
    const { image, verdict } = this.#plan;
    // by its name, so that the destination has it under the same one
    const ref = (await nameFor(this.#deps.images, image, verdict.nameTaken)) ?? image.id;
    for (const filtered of [true, false]) {
      const left: string[] = [];
      const archive = await this.#deps.images.save(ref);
      const stream = filtered ? without(archive, (digest) => this.#has(digest), left) : archive;
      stream.on('data', (chunk: Buffer) => progress((this.bytes.image += chunk.length)));
      try {
        await this.#peer.upload('/v1/moves/image', stream, { signal });
      } catch (error) {
        if (left.length === 0 || signal.aborted) throw error;
        this.#deps.log.info({ migration: this.#id, error: explain(error) }, 'an image is sent again, with the layers that the destination had');
        continue;
      }
      const { there } = await this.#peer.call<{ there: boolean }>('/v1/moves/known', { image, left }, { signal });
      if (there) return;
      if (left.length === 0) break;
    }
    throw notTaken(this.#peer.name, image.ref);
  }

  async #has(digest: string): Promise<boolean> {
    return (await this.#peer.call<string[]>('/v1/moves/have', { layers: this.#plan.image.layers, digests: [digest] })).includes(digest);
  }

  /** The writable layer and volumes while the container still writes; what changes meanwhile is the delta's. And what no layer has. */
  async sendFiles(signal: AbortSignal, progress: (bytes: number) => void): Promise<void> {
    const { container, trees, log } = this.#plan;
    await trees.send(this.#peer, this.#id, signal, (bytes) => progress((this.bytes.files += bytes)));
    if (container.init) await sendInit(this.#deps.host, container, this.#peer, this.#id, signal);
    // last, so that little is logged between this and the freeze
    if (!log) return;
    const rate = rateOf(log.length, await lengthOf(this.#deps.host, log.place));
    this.log = await sendLog(this.#deps.host, log.place, this.#peer, this.#id, rate, signal, (bytes) => progress((this.bytes.files += bytes)));
  }

  /** The connection on which the destination waits for memory that comes ahead. */
  connectMemory(way: Duplex): void {
    way.on('error', (error) => this.#deps.log.debug({ migration: this.#id, error: explain(error) }, 'the way of the memory broke'));
    const { host, log } = this.#deps;
    this.#memoryWay = way;
    this.#memory = new MemorySender(host, log, () => processes(host, this.#plan.container), way);
  }

  /** Sends memory while the container runs, and again what it writes to meanwhile. */
  async sendMemory(signal: AbortSignal, progress: (bytes: number) => void): Promise<void> {
    await this.#peer.call('/v1/moves/ahead', { id: this.#id }, { signal });
    const way = this.#memoryWay;
    if (!way) throw new CoatError('no-way', `${this.#peer.name} has not asked for the container's memory`);
    const stop = this.#peer.watch(way);
    void finished(way).then(stop, stop);
    await this.#sending(signal, async (memory) => {
      await memory.rounds(signal, () => progress((this.bytes.memory = memory.total)));
    });
  }

  /** What it has written to since. From now on nothing more comes ahead. */
  async sendLastMemory(signal: AbortSignal): Promise<void> {
    await this.#sending(signal, async (memory) => {
      await memory.last(signal);
      this.bytes.memory = memory.total;
    });
  }

  /** A link may be slow, and nobody may want it any more. */
  async #sending(signal: AbortSignal, work: (memory: MemorySender) => Promise<void>): Promise<void> {
    const stop = (): unknown => this.#memoryWay?.destroy();
    signal.addEventListener('abort', stop, { once: true });
    try {
      await work(this.#memory!);
    } catch (cause) {
      signal.throwIfAborted();
      throw cause instanceof CoatError ? cause : this.#wayBroke('memory', cause);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  #wayBroke(what: string, cause: unknown): CoatError {
    return new CoatError('peer-lost', `the connection to ${this.#peer.name} broke while the container's ${what} was sent`, { hint: `look whether ${this.#peer.name} and its agent are up, and try again`, cause });
  }

  /** From now on it is not noticed any more what the container writes to. */
  forgetMemory(): void {
    this.#memory?.close();
    this.#memoryWay?.destroy();
  }

  /** Everything of the dump that can be done before the freeze. */
  async prepare(): Promise<void> {
    const { container, carried, strategy } = this.#plan;
    await mountMemory(this.#deps.host, this.#directory, carried);
    this.#dump = await armDump(this.#deps.host, await this.#deps.criu.find(), container, this.#directory, { lazy: strategy !== 'cold' });
    await linkPages(this.#deps.host, this.#directory, carried);
    await reserveMemory(this.#deps.host, this.#reserve, carried);
  }

  /** Everything of the restore that can be done before the dump. Needs {@link Departure.prepare}. */
  async armDestination(): Promise<void> {
    const descriptors = await readFile(this.#deps.host.path(`${this.#directory}/images/${DESCRIPTORS}`), 'utf8');
    await this.#peer.call('/v1/moves/arm', { id: this.#id, descriptors });
  }

  /** The connection on which the destination waits for the images. */
  connect(way: Duplex): void {
    way.on('error', (error) => this.#deps.log.debug({ migration: this.#id, error: explain(error) }, 'the way of the images broke'));
    this.#way = way;
  }

  /** Has the connections open that the blackout will use at once: a handshake costs both hosts some 10 ms of processor. */
  async warmUp(): Promise<void> {
    await Promise.all(Array.from({ length: CONNECTIONS }, () => this.#peer.call('/v1/ping', {})));
  }

  /** @throws CoatError `paused` where somebody else holds its processes, who would not like them thawed here or running there; `stopped-process` */
  async mustRun(): Promise<void> {
    const held = await isFrozen(this.#deps.host, this.#plan.container).catch(() => false);
    if (held) throw new CoatError('paused', `${this.#plan.name} was paused meanwhile`, { hint: `docker unpause ${this.#plan.name}, and move it again` });
    const { host } = this.#deps;
    if (await stopped(host, this.#plan.container, await processes(host, this.#plan.container))) throw refusedStopped(this.#plan.name);
  }

  freeze(): Promise<void> {
    return freezeInOrder(this.#deps.host, this.#plan.container);
  }

  async thaw(): Promise<void> {
    await this.#dump?.disarm();
    await forgetDump(this.#deps.host, this.#plan.container);
    await thaw(this.#deps.host, this.#plan.container);
  }

  /** Of a container that was ended while it stood still nothing stays. @param stopped why the move was taken back */
  async forgetIfEnded({ reason }: AbortSignal): Promise<void> {
    if (codeOf(reason) !== 'stopped-meanwhile') return;
    const { containers, host } = this.#deps;
    const { id } = this.#plan.container;
    await until('the engine to know that it has ended', async () => !(await containers.inspect(id))?.State.Running, { timeout: ENDED_MS });
    await forgetTask(host, id);
  }

  /** @returns what is still to be waited for before the destination can have everything */
  async cut(): Promise<{ written: Promise<unknown> }> {
    const cuts = await Promise.all(this.#plan.endpoints.map(({ network, ip }) => this.#deps.overlay.cut(network, ip)));
    return { written: Promise.all(cuts.map(({ written }) => written)) };
  }

  async uncut(): Promise<void> {
    await Promise.all(this.#plan.endpoints.map(({ network, ip }) => this.#deps.overlay.uncut(network, ip)));
  }

  /** Dumps, and sends what is dumped while it is. @returns what is left behind, as a sentence */
  async dump(step: <T>(name: string, work: () => Promise<T>) => Promise<T>): Promise<string | undefined> {
    const { host } = this.#deps;
    if (!this.#way) throw new CoatError('no-way', `${this.#peer.name} has not asked for the container's state`);
    releaseMemory(host, this.#reserve);
    // ahead of CRIU, which is not to see the sockets as they are for it
    const missed = await keepUnread(this.#deps, this.#plan.container, this.#plan.endpoints.flatMap(addressesOf), `${this.#directory}/images`);
    const dumped = Promise.all([step('dump', () => this.#dump!.fire()), this.#finishMemory(step)]);
    const sent = step('send images', () => follow(host.path(`${this.#directory}/images`), dumped, this.#sent, this.#way!));
    sent.catch(() => undefined);
    // the other side may be dead without a word
    const stop = this.#peer.watch(this.#way);
    void sent.then(stop, stop);
    // a dump that failed says more than the transfer it ended
    await dumped;
    await sent.catch((cause: unknown) => {
      if (cause instanceof CoatError) throw cause;
      throw this.#wayBroke('state', cause);
    });
    for (const [name, size] of Object.entries(this.#sent)) this.bytes[isPages(name) ? 'memory' : 'state'] += size;
    return missed;
  }

  /** Says beside CRIU's images what of the memory is there already. */
  async #finishMemory(step: <T>(name: string, work: () => Promise<T>) => Promise<T>): Promise<void> {
    if (!this.#memory) return;
    const image = await step('look at memory', () => this.#memory!.finish(this.#plan.mayFollow ? STILL_MS : undefined));
    await writeFile(this.#deps.host.path(`${this.#directory}/images/${AHEAD}`), JSON.stringify(image));
  }

  async sendDelta(signal: AbortSignal): Promise<void> {
    await this.#plan.trees.sendDelta(this.#peer, this.#id, signal, (bytes) => (this.bytes.files += bytes));
  }

  /**
   * Asks the destination to restore as soon as everything has come, ahead of the last of it, so that nothing needs to be asked then.
   * Everything but the images must be there.
   */
  async expectLanding(): Promise<void> {
    this.#landing = this.#peer.call<Arrival>('/v1/moves/land', { id: this.#id }, { signal: this.#patience.signal, timeout: FOREVER_MS });
    this.#landing.catch(() => undefined);
  }

  /** Tells the destination that it has everything. @returns its answer, once the container runs there */
  async land(): Promise<Arrival> {
    const patience = setTimeout(() => this.#patience.abort(new CoatError('timeout', `${this.#peer.name} did not say within ${LAND_MS} ms what became of the container`)), LAND_MS);
    try {
      conclude(this.#way!);
      return await this.#landing!;
    } finally {
      clearTimeout(patience);
    }
  }

  /** Ends what is under way to the destination. If that has it all it may commit all the same, and has to be asked. */
  interrupt(why: unknown): void {
    this.#way?.destroy();
    this.#patience.abort(why);
  }

  async cleanUp(): Promise<void> {
    await this.#dump?.disarm();
    // nobody waits for an answer any more, if there is to be one
    this.#patience.abort();
    this.#way?.destroy();
    this.forgetMemory();
    await unmountMemory(this.#deps.host, this.#directory);
  }
}

export const departureDirectory = (id: string): string => `/run/coat/moves/${id}`;

/**
 * Ends the container at the source once it runs elsewhere. Its processes are killed while they are frozen and die as they
 * thaw, without running another instruction; its endpoint is cut, so no peer hears of their sockets' end.
 * Volumes that were copied go with it: two that change apart would be worse than one. What it has logged last follows it before.
 *
 * @returns what does not go as it should, a sentence each
 */
export async function endAtSource(deps: MoverDependencies, container: Plan['container'] | undefined, entry: Ended): Promise<string[]> {
  const { host, containers, volumes: engine, self } = deps;
  const { containerId, container: name, id, keep, volumes } = entry;
  if (container) {
    for (const pid of await processes(host, container)) kill(pid);
    await thaw(host, container);
  }
  const complaints = await restOfLog(deps, entry);
  if (keep) {
    const kept = `${name}.moved-${id.slice(0, 8)}`;
    const inspect = await containers.inspect(containerId);
    if (inspect && nameOf(inspect) !== kept) await containers.rename(containerId, kept);
    return complaints;
  }
  await containers.remove(containerId);
  const gone = await Promise.all(volumes.map((volume) => engine.remove(volume)));
  const stay = volumes.filter((_, i) => !gone[i]);
  return [...complaints, ...stay.map((volume) => `the volume ${volume} stays on ${self} too, as another container has got it meanwhile`)];
}

type Ended = Pick<Extract<JournalEntry, { role: 'source' }>, 'containerId' | 'container' | 'id' | 'peer' | 'keep' | 'volumes' | 'log'>;

/** Sends what a container that was killed has logged since the first of it was sent. The log is no reason to keep the container here. */
async function restOfLog({ host, containers, peers }: MoverDependencies, { containerId, container, id, peer, log }: Ended): Promise<string[]> {
  if (log === undefined) return [];
  try {
    // by then the engine has written and closed it (moby daemon/monitor.go, handleContainerExit)
    const inspect = await until('the engine to know that it has ended', async () => {
      const found = await containers.inspect(containerId);
      return found?.State.Running ? undefined : { found };
    }, { timeout: ENDED_MS, every: 10 });
    const place = inspect.found && (await findLog(containers, inspect.found));
    const lost = place === undefined ? 0 : await sendRestOfLog(host, place, log, peers.get(peer), id);
    return lost === 0 ? [] : [`the last ${lost} bytes of the log of ${container} are lost: more was logged during the move than there was room for`];
  } catch (error) {
    return [`the last of the log of ${container} is lost: ${explain(error)}`];
  }
}
