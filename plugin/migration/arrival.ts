import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { attempt } from '../../driver/host/attempt.ts';
import { CoatError, explain } from '../../driver/host/errors.ts';
import type { Datagram } from '../../driver/kernel/packets.ts';
import { restoreActions, writeActions } from '../criu/actions.ts';
import { arrivalBundle, type OciConfig, RESTORE_OPTIONS } from '../criu/bundle.ts';
import { Door } from '../criu/door.ts';
import { DESCRIPTORS, LAZY_FLAG, sharedFlags } from '../criu/dump.ts';
import { Inventory, INVENTORY } from '../criu/inventory.ts';
import { giveUpPages, pagerAlive, pagesGo, pagesHere, startPager } from '../pager/control.ts';
import { mountMemory, PAGES, releaseMemory, reserveMemory, unmountMemory } from '../criu/memory.ts';
import { takeAhead } from '../memory/intake.ts';
import { runSetKey } from '../criu/setkey.ts';
import { setSysctl } from '../criu/sysctl.ts';
import { criuOnPath } from '../criu/wrapper.ts';
import type { Drain } from '../agent/peer.ts';
import { type Sizes, totals } from '../transfer/follow.ts';
import { Intake } from '../transfer/intake.ts';
import { fetchPages, type PagesOutcome } from './fetch.ts';
import { FilesIntake } from './files.ts';
import { realSources } from './inits.ts';
import { netnsPath, restoreDirectory } from './places.ts';
import type { MoverDependencies } from './ports.ts';
import type { Arrival as Landed, Preparation } from './protocol.ts';
import { endsWith, restoreFailed } from './started.ts';
import { Timeline } from './timeline.ts';
import { notPutIn, byEndpoint, DATAGRAMS, readUnread } from './unread.ts';

/** How long the engine may take from `docker start` to calling the runtime, in ms. */
const RUNTIME_CALLED_MS = 30_000;
/** How long a restore may take, in ms, and how much more for every MiB of memory. */
const RESTORE_MS = 30_000;
const RESTORE_MS_PER_MIB = 20;
/** How long the engine's own words about a restore that failed are waited for, ms. */
const ENGINE_SAYS_MS = 3_000;

/** Memory taken ahead, for the images and for what CRIU makes of them. */
const RESERVES = [`${PAGES}/reserved-images`, `${PAGES}/reserved-restore`] as const;

/** What comes, and from which host. */
export type Expected = Preparation & { source: string };

/**
 * One container on its way to this host, from its creation to its first run here. Only effects: what may follow what,
 * and what is remembered, is `receive.ts`'s.
 */
export class Arrival {
  readonly timeline: Timeline;
  /** What of it is on disk. */
  readonly files: FilesIntake;
  readonly #deps: MoverDependencies;
  readonly #preparation: Expected;
  readonly #containerId: string;
  readonly #directory: string;
  #door: Door | undefined;
  #images: Promise<Sizes> | undefined;
  #inventory: Inventory | undefined;
  #way: Drain | undefined;
  /** Memory that comes while the container still runs at the source. */
  #ahead: Drain | undefined;
  #started: Promise<void> | undefined;
  /** Where its pages will come from. */
  #pageWay: Promise<Duplex> | undefined;
  /** What it had got and not read where it comes from, and how many of those it could not be given. */
  #unread: Datagram[] = [];
  #undelivered = 0;
  /** What becomes of the memory that comes after the commit. */
  fetched: Promise<PagesOutcome> | undefined;

  constructor(deps: MoverDependencies, preparation: Expected, containerId: string) {
    this.#deps = deps;
    this.#preparation = preparation;
    this.#containerId = containerId;
    this.#directory = restoreDirectory(containerId);
    this.timeline = new Timeline(deps.self);
    this.files = new FilesIntake(deps, preparation, containerId);
  }

  /** Whether its memory comes after it. */
  get lazy(): boolean {
    return this.#preparation.strategy !== 'cold';
  }

  get #options(): string {
    return `${this.#directory}/criu.conf`;
  }

  /** Where the inventory waits until everything else is there. */
  get #heldInventory(): string {
    return this.#deps.host.path(`${this.#directory}/${INVENTORY}`);
  }

  get #netns(): string {
    return this.#containerId.slice(0, 12);
  }

  /** Memory, once for this arrival. */
  #mounted(): Promise<void> {
    const { carried, memory } = this.#preparation;
    return (this.#mounting ??= mountMemory(this.#deps.host, this.#directory, carried, memory - carried));
  }
  #mounting: Promise<void> | undefined;

  /** Takes memory in while the container still runs at the source. Resolves when it may be sent. */
  async ahead(): Promise<void> {
    const { id, source } = this.#preparation;
    await this.#mounted();
    this.#ahead = await takeAhead(this.#deps.host, this.#directory, this.#deps.peers.get(source), id);
  }

  /** Plumbs and holds the endpoints, and takes `docker start` as far as it goes without the container's memory. */
  async ready(): Promise<void> {
    const { host, overlay, containers } = this.#deps;
    const netns = this.#netns;
    await this.timeline.step('plumb', async () => {
      for (const endpoint of this.#preparation.endpoints) await overlay.expect({ ...endpoint, netns });
    });
    await this.#mounted();
    await mkdir(host.path(`${this.#directory}/images`));
    await mkdir(host.path(`${this.#directory}/work`));
    await writeFile(host.path(this.#options), RESTORE_OPTIONS + (await writeActions(host, this.#directory, restoreActions)));
    this.#door = await Door.make(host, this.#directory);
    // for the images and for what CRIU makes of them
    const reserved = this.timeline.step('reserve memory', async () => {
      for (const use of RESERVES) await reserveMemory(host, `${this.#directory}/${use}`, this.#preparation.carried);
    });
    reserved.catch(() => undefined);
    await this.files.look();
    await this.timeline.step('docker start', () => this.#offering(async () => {
      this.#started = containers.start(this.#containerId);
      this.#started.catch(() => undefined);
      const bundle = await this.#door!.heard('create', RUNTIME_CALLED_MS, endsWith(this.#started));
      await this.#adapt(bundle, netnsPath(netns));
    }));
    await reserved;
  }

  /** Starts `runc restore`, which waits for the first of the images. */
  async arm(descriptors: string): Promise<void> {
    const { host, criu } = this.#deps;
    await writeFile(host.path(`${this.#directory}/images/${DESCRIPTORS}`), descriptors);
    this.#inventory = await Inventory.make(host, `${this.#directory}/images`);
    const program = await criu.find();
    await criuOnPath(host, this.#directory, program);
    const flags = [...sharedFlags, ...(this.lazy ? [LAZY_FLAG] : [])];
    this.#door!.order(`restore ${netnsPath(this.#netns)} ${flags.join(' ')}`);
    if (this.lazy) {
      const { id, source } = this.#preparation;
      this.#pageWay = this.#deps.peers.get(source).tunnel(`/v1/moves/pages?id=${id}`);
      this.#pageWay.then((way) => way.on('error', () => undefined), () => undefined);
      await startPager(host, this.#directory, this.#containerId);
    }
    await this.#inventory.reached(endsWith(this.#started!));
    await this.#receiveImages();
  }

  /** Takes the endpoints' frames in, to hold them: ahead of the redirect, so that none finds the door shut. */
  async accept(): Promise<void> {
    await Promise.all(this.#preparation.endpoints.map(({ network, ip }) => this.#deps.overlay.accept(network, ip)));
  }

  /** Takes in CRIU's images, memory and all, while the source is still dumping. */
  async #receiveImages(): Promise<void> {
    const { host, peers } = this.#deps;
    const { id, source } = this.#preparation;
    const intake = new Intake(host.path(`${this.#directory}/images`), { reserved: host.path(`${this.#directory}/${RESERVES[0]}`), elsewhere: { [INVENTORY]: this.#heldInventory } });
    this.#way = await peers.get(source).drain(`/v1/moves/images?id=${id}`, (bytes) => intake.take(bytes));
    this.#images = this.#way.ended.then(() => intake.end()).finally(() => intake.close());
    this.#images.catch(() => undefined);
  }

  /** Of images that are not whole yet no more is taken. */
  stopReceiving(): void {
    this.#way?.destroy();
    this.#ahead?.destroy();
  }

  /** Waits for everything, and restores it. When this returns the container runs here, unheard: its frames are held. */
  async restore(): Promise<Pick<Landed, 'memory' | 'state' | 'pages' | 'warning'>> {
    const received = (await this.#images) ?? {};
    await this.#ahead?.ended;
    if (received[DATAGRAMS] !== undefined) this.#unread = await readUnread(this.#deps.host, `${this.#directory}/images`);
    if (this.lazy) {
      this.fetched = fetchPages(this.#deps, { id: this.#preparation.id, source: this.#preparation.source, containerId: this.#containerId, directory: this.#directory, way: this.#pageWay });
      this.fetched.catch(() => undefined);
    }
    releaseMemory(this.#deps.host, `${this.#directory}/${RESERVES[1]}`);
    await this.timeline.step('restore', () => this.#offering(() => this.#restored()));
    const pages = this.lazy ? (pagesHere(this.#deps.host, this.#directory) ? 'here' : 'fetching') : undefined;
    return { ...totals(received), pages, ...notPutIn(this.#undelivered) };
  }

  /**
   * CRIU makes the namespaces and the first task, whose pid Docker is told. While Docker does its part, up to its `start`, CRIU does
   * the rest and stops before anything runs.
   */
  async #restored(): Promise<void> {
    const patience = RESTORE_MS + (this.#preparation.memory / 2 ** 20) * RESTORE_MS_PER_MIB;
    const failed = this.#door!.heard('restored', patience).then((code) => (code === '0' ? new Promise<never>(() => undefined) : Promise.reject(new Error(`runc restore ended with ${code}`))));
    failed.catch(() => undefined);
    const heard = (event: string): Promise<string> => this.#door!.heard(event, patience, Promise.race([failed, endsWith(this.#started!)]));
    try {
      await this.#inventory!.give(this.#heldInventory);
      await this.timeline.step('… until the pid', () => heard('pid'));
      await Promise.all([this.timeline.step('… until ready', () => heard('ready')), this.timeline.step('… until start', () => heard('start'))]);
      if (this.#ahead) await this.timeline.step('… until its memory', () => pagesGo(this.#deps.host, this.#directory, patience));
      // without it the memory that is missing would be zeroes
      if (this.lazy && !pagerAlive(this.#deps.host, this.#directory)) throw new Error('what fetches its memory has ended');
      // its sockets are there, and no program of it can find them empty
      if (this.#unread.length > 0) this.#undelivered = await this.timeline.step('… unread datagrams', () => this.#putIn());
      this.#door!.go();
      await this.timeline.step('… until it runs', () => heard('resumes'));
    } catch (error) {
      // a CRIU that still waits would have Docker wait for it, and nobody could say what Docker thinks of it
      await this.#letGo(explain(error)).catch(() => undefined);
      throw await this.#restoreFailed(error);
    }
  }

  /** Gives it what had come to it before the freeze. @returns how many datagrams it could not be given */
  async #putIn(): Promise<number> {
    const { overlay, log } = this.#deps;
    let failed = 0;
    for (const [{ network, ip }, datagrams] of byEndpoint(this.#unread, this.#preparation.endpoints)) {
      failed += await overlay.putIn(network, ip, datagrams).catch((error: unknown) => {
        log.warn({ migration: this.#preparation.id, reason: explain(error) }, 'datagrams could not be put in');
        return datagrams.length;
      });
    }
    return failed;
  }

  /** Lets the frames in that peers sent meanwhile. @returns when the first went, by this timeline's clock */
  async release(): Promise<number> {
    return this.timeline.step('release', async () => {
      await Promise.all(this.#preparation.endpoints.map(({ network, ip }) => this.#deps.overlay.release(network, ip)));
      return this.timeline.now();
    });
  }

  /** After the commit: Docker's own end of the start, which, should it call that a failure, has the container all the same. */
  async settle(): Promise<void> {
    await this.#started?.catch((error: unknown) => this.#deps.log.warn({ container: this.#preparation.container, error: explain(error) }, 'the engine could not end the start of a container that runs'));
    this.#door?.close();
    this.#door = undefined;
  }

  /**
   * Gives everything up, in any state, and any number of times. Each step is tried whatever became of the others.
   *
   * @throws CoatError `not-cleared` where something of it is still there
   */
  async abandon(why: string): Promise<void> {
    const { containers, overlay, host, log, self } = this.#deps;
    const failures: unknown[] = [];
    const tried = (what: string, work: Promise<unknown>): Promise<unknown> =>
      work.catch((error: unknown) => {
        log.warn({ what, error: explain(error) }, 'could not undo a part of an arrival');
        failures.push(error);
      });
    this.stopReceiving();
    void this.#pageWay?.then((way) => way.destroy(), () => undefined);
    // an arrival of an earlier life of this agent may still have a runtime waiting at its door
    this.#door ??= attempt(() => Door.open(host, this.#directory));
    await this.#letGo(why).catch((error: unknown) => log.warn({ error: explain(error) }, 'could not end the restore of an arrival'));
    await this.#started?.catch(() => undefined);
    await tried('container', containers.remove(this.#containerId));
    for (const { network, ip } of this.#preparation.endpoints) await tried('endpoint', overlay.forget(network, ip));
    this.#door?.close();
    this.#door = undefined;
    await tried('directory', unmountMemory(host, this.#directory));
    if (failures.length > 0) throw new CoatError('not-cleared', `${self} could not clear away ${this.#preparation.container}`, { cause: failures[0] });
  }

  /** Whatever of the restore waits for us gives up. */
  async #letGo(why: string): Promise<void> {
    this.#inventory?.close();
    attempt(() => Inventory.abandon(this.#deps.host, `${this.#directory}/images`));
    this.#door?.abort(why);
    // a restore may wait for memory
    await giveUpPages(this.#deps.host, this.#directory, why);
  }

  /** Docker 26 asks for addresses when the container starts, 28 when its processes are there; in a network that lets nobody choose, for any. */
  async #offering<T>(work: () => Promise<T>): Promise<T> {
    const { overlay } = this.#deps;
    // in one order for all moves, as an offer waits for the one before it
    const free = this.#preparation.endpoints.filter(({ network }) => !overlay.letsChoose(network)).sort((a, b) => (a.network < b.network ? -1 : 1));
    try {
      for (const { network, ip } of free) await overlay.offer(network, ip);
      return await work();
    } finally {
      for (const { network, ip } of free) overlay.withdraw(network, ip);
    }
  }

  async #adapt(bundle: string, netns: string): Promise<void> {
    const { host } = this.#deps;
    const path = host.path(`${bundle}/config.json`);
    const engines = JSON.parse(await readFile(path, 'utf8')) as OciConfig;
    const sources = await realSources(host, engines, this.#preparation.init, await this.files.kept());
    const { config, setKey, sysctl } = arrivalBundle(engines, this.#options, sources);
    await writeFile(path, JSON.stringify(config));
    for (const [name, value] of Object.entries(sysctl)) await setSysctl(host, netns, name, value);
    if (setKey) await runSetKey(host, setKey, netns, this.#containerId, bundle);
  }

  async #restoreFailed(why: unknown): Promise<CoatError> {
    // the engine may itself wait for what has just failed
    const cause = await Promise.race([this.#started?.then(() => undefined, (error: unknown) => error), sleep(ENGINE_SAYS_MS, undefined, { ref: false })]);
    return restoreFailed(this.#deps.host, this.#deps.self, this.#directory, why, cause);
  }
}
