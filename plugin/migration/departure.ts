import { readFile } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { CoatError, codeOf, explain } from '../../driver/host/errors.ts';
import { addressesOf } from '../../driver/overlay/records.ts';
import { armDump, type ArmedDump, DESCRIPTORS, forgetDump } from '../criu/dump.ts';
import { isFrozen, processes, thaw } from '../criu/freezer.ts';
import { linkPages, mountMemory, PAGES, releaseMemory, reserveMemory, unmountMemory } from '../criu/memory.ts';
import { forgetTask } from '../criu/shim.ts';
import { FOREVER_MS, type Peer } from '../agent/peer.ts';
import { conclude, follow, isPages, type Sizes } from '../transfer/follow.ts';
import { MemoryAhead, wayBroke } from './ahead.ts';
import { stopped } from './facts.ts';
import { sendInit } from './inits.ts';
import { ended } from './leaving.ts';
import { lengthOf, rateOf, type SentLog, sendLog } from './log/send.ts';
import { departureDirectory } from './places.ts';
import type { Plan } from './plan.ts';
import type { MoverDependencies } from './ports.ts';
import { refusedStopped } from './preflight.ts';
import type { Arrival } from './protocol.ts';
import { freezeInOrder } from './standstill.ts';
import { keepUnread } from './unread.ts';

/** Changed files, what is asked meanwhile, and one to spare. */
const CONNECTIONS = 3;
/** For what has not come ahead the container stands still no longer than this, ms, where it need not have all of it. */
const STILL_MS = 50;
/** When the destination is asked what became of it instead of waited for, ms. Its own patience is shorter for all but huge containers. */
const LAND_MS = 120_000;

/** The effects of a move on the source host; what may follow what is `send.ts`'s. */
export class Departure {
  readonly #deps: MoverDependencies;
  readonly #plan: Plan;
  readonly #peer: Peer;
  readonly #id: string;
  readonly #directory: string;
  readonly bytes = { memory: 0, state: 0, files: 0, image: 0 };
  readonly ahead: MemoryAhead;
  /** What is already there of its log. */
  log: SentLog | undefined;
  readonly #sent: Sizes = {};
  #dump: ArmedDump | undefined;
  /** Where the images go; the destination has made it. */
  #way: Duplex | undefined;
  #landing: Promise<Arrival> | undefined;
  readonly #patience = new AbortController();

  constructor(deps: MoverDependencies, plan: Plan, peer: Peer, id: string) {
    this.#deps = deps;
    this.#plan = plan;
    this.#peer = peer;
    this.#id = id;
    this.#directory = departureDirectory(id);
    this.ahead = new MemoryAhead(deps, plan.container, peer, id, this.bytes);
  }

  get #reserve(): string {
    return `${this.#directory}/${PAGES}/reserved`;
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
    await ended(containers, id);
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
    const dumped = Promise.all([step('dump', () => this.#dump!.fire()), this.ahead.finish(step, this.#plan.mayFollow ? STILL_MS : undefined, `${this.#directory}/images`)]);
    const sent = step('send images', () => follow(host.path(`${this.#directory}/images`), dumped, this.#sent, this.#way!));
    sent.catch(() => undefined);
    // the other side may be dead without a word
    const stop = this.#peer.watch(this.#way);
    void sent.then(stop, stop);
    // a dump that failed says more than the transfer it ended
    await dumped;
    await sent.catch((cause: unknown) => {
      if (cause instanceof CoatError) throw cause;
      throw wayBroke(this.#peer, 'state', cause);
    });
    for (const [name, size] of Object.entries(this.#sent)) this.bytes[isPages(name) ? 'memory' : 'state'] += size;
    return missed;
  }

  async sendDelta(signal: AbortSignal): Promise<void> {
    await this.#plan.trees.sendDelta(this.#peer, this.#id, signal, (bytes) => (this.bytes.files += bytes));
  }

  /**
   * Asks the destination to restore as soon as everything has come, ahead of the last of it, so that nothing needs to be asked then.
   * Everything but the images must be there.
   */
  async expectLanding(): Promise<void> {
    // the images may still be on their way for as long as the link takes
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
    this.ahead.close();
    await unmountMemory(this.#deps.host, this.#directory);
  }
}
