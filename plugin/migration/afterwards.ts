import { explain } from '../../driver/host/errors.ts';
import { insist } from '../../driver/host/insist.ts';
import { until } from '../../driver/host/until.ts';
import { addressesOf } from '../../driver/overlay/records.ts';
import { unmountMemory } from '../criu/memory.ts';
import type { Arrival } from './arrival.ts';
import { changeClaim, takeOver } from './claims.ts';
import { fetchPages, type PagesOutcome } from './fetch.ts';
import type { DestinationEntry } from './journal.ts';
import type { Ledger } from './ledger.ts';
import { closeDoor, restoreDirectory } from './places.ts';
import type { MoverDependencies } from './ports.ts';

const AGAIN_MS = 1_000;
/** For how long an engine may say of a container that runs that it has not started, ms. */
const STARTED_MS = 30_000;

/** Of a container that runs before its memory is in its place. */
export const isPlaced = ({ pages }: DestinationEntry): boolean => pages !== 'fetching' && pages !== 'here';

/**
 * What is to be done at the destination when the container runs there: its addresses become this host's in the store, its memory comes, and the
 * source says that it needs nothing any more. They end in any order; then nothing is kept of the move.
 */
export class Afterwards {
  readonly #deps: MoverDependencies;
  readonly #ledger: Ledger;
  /** How much there is still to do of each move; of one of an earlier life of this agent nobody knows before {@link Afterwards.resume}. */
  readonly #open = new Map<string, number>();

  constructor(deps: MoverDependencies, ledger: Ledger) {
    this.#deps = deps;
    this.#ledger = ledger;
  }

  /** Of a container that has just arrived. @param settled called when the arrival is needed no more */
  begin(entry: DestinationEntry, arrival: Arrival, settled: () => void): void {
    void this.#during(entry, () => this.#own(entry));
    void this.#during(entry, () => this.#seeThrough(entry, () => arrival.settle(), arrival.fetched).then(settled));
  }

  /** Of one that arrived in an earlier life of this agent. */
  resume(entry: DestinationEntry): void {
    void this.#during(entry, () => this.#own(entry));
    void this.#during(entry, () => this.#seeThrough(entry, () => this.#started(entry)));
  }

  /** The source needs nothing of it any more. */
  async finish(id: string): Promise<void> {
    if (this.#open.get(id) !== 0) await this.#ledger.change(id, { finished: true });
    // the last of it may have ended while that was written
    if (this.#open.get(id) === 0) await this.#forget(id);
  }

  /** The last of what is to be done forgets the move, if the source has. */
  async #during({ id }: DestinationEntry, work: () => Promise<void>): Promise<void> {
    this.#open.set(id, (this.#open.get(id) ?? 0) + 1);
    await work();
    this.#open.set(id, this.#open.get(id)! - 1);
    if (this.#open.get(id) !== 0 || this.#ledger.get(id)?.finished !== true) return;
    await this.#forget(id).catch((error: unknown) => this.#deps.log.warn({ migration: id, error: explain(error) }, 'the journal of a move cannot be removed'));
  }

  async #forget(id: string): Promise<void> {
    await this.#ledger.forget(id);
    this.#open.delete(id);
  }

  /** Makes the addresses this host's in the store; the redirect has them here already, so it may take its time. */
  #own(entry: DestinationEntry): Promise<void> {
    const { store, overlay, self } = this.#deps;
    return this.#insist(entry, 'the container runs here, but the store does not say so yet', async () => {
      const revisions = [];
      for (const endpoint of entry.endpoints) revisions.push(await changeClaim(store, endpoint, takeOver(self)));
      // a container that was removed before its addresses were this host's could not give them back
      await overlay.settled(Math.max(...revisions));
      for (const endpoint of entry.endpoints) for (const ip of addressesOf(endpoint)) await overlay.giveBack(endpoint.network, ip);
    });
  }

  /**
   * Waits for the engine and for the memory, and takes what the restore needed away: last, as of memory that is missing in a directory that is
   * missing nobody could say anything.
   *
   * @param started resolves when the engine has come to the end of the start
   * @param fetched what is fetching the memory already
   */
  #seeThrough(entry: DestinationEntry, started: () => Promise<void>, fetched?: Promise<PagesOutcome>): Promise<void> {
    const { id, peer, containerId } = entry;
    if (containerId === undefined) return Promise.resolve();
    const { host } = this.#deps;
    const directory = restoreDirectory(containerId);
    let first = fetched;
    let pages: PagesOutcome | undefined;
    const memory = async (): Promise<void> => {
      if (isPlaced(this.#ledger.get(id) ?? entry)) return;
      pages ??= await (first ?? fetchPages(this.#deps, { id, source: peer, containerId, directory })).finally(() => (first = undefined));
      await this.#told(entry, pages);
    };
    return this.#insist(entry, 'what a container needed to arrive here cannot be taken away', async () => {
      await Promise.all([started().then(() => closeDoor(host, containerId)), memory()]);
      await unmountMemory(host, directory);
    });
  }

  async #started({ containerId }: DestinationEntry): Promise<void> {
    const started = async (): Promise<boolean> => (await this.#deps.containers.inspect(containerId!))?.State.Status !== 'created';
    await until('the engine to have started it', started, { timeout: STARTED_MS }).catch(() => undefined);
  }

  async #told({ id, container }: DestinationEntry, pages: PagesOutcome): Promise<void> {
    if (pages !== 'whole') this.#deps.log.error({ migration: id, container, why: pages }, 'a container was ended here: its memory cannot be fetched any more');
    await this.#ledger.change(id, { pages });
  }

  #insist<T>({ id, container }: DestinationEntry, complaint: string, work: () => Promise<T>): Promise<T> {
    return insist(work, { every: AGAIN_MS, failed: (error) => this.#deps.log.warn({ migration: id, container, error: explain(error) }, `${complaint}; trying again`) });
  }
}
