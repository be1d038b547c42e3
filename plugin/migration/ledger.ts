import { KeyedQueue } from '../../driver/host/queue.ts';
import type { DestinationEntry, Journal } from './journal.ts';

/**
 * What this host keeps of each move that it is the destination of, in memory as in its journal.
 *
 * INVARIANTS
 * - Changes of one move are made one at a time, each to what the one before has left: the source, the engine and the pager all have something to say
 *   of a container that has just arrived.
 * - Memory says nothing that the journal does not; but for a move that was given up, which the journal calls `arriving` until all of it is cleared away.
 */
export class Ledger {
  readonly #journal: Journal;
  readonly #entries = new Map<string, DestinationEntry>();
  readonly #queue = new KeyedQueue();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** What this life of the agent knows. */
  get(id: string): DestinationEntry | undefined {
    return this.#entries.get(id);
  }

  /** What this life of the agent knows, or an earlier one. */
  async find(id: string): Promise<DestinationEntry | undefined> {
    const known = this.#entries.get(id);
    if (known) return known;
    const written = await this.#journal.read(id);
    if (written?.role !== 'destination') return undefined;
    this.#entries.set(id, written);
    return written;
  }

  all(): DestinationEntry[] {
    return [...this.#entries.values()];
  }

  /** Of a move that is not known yet. */
  async begin(entry: DestinationEntry): Promise<void> {
    await this.#queue.run(entry.id, () => this.#write(entry));
  }

  /** @returns how it is now; nothing where it is not known any more */
  async change(id: string, change: Partial<DestinationEntry>): Promise<DestinationEntry | undefined> {
    return this.#queue.run(id, async () => {
      const entry = await this.find(id);
      if (entry) await this.#write({ ...entry, ...change });
      return this.#entries.get(id);
    });
  }

  /** It is given up; the journal hears of it by {@link Ledger.change} when nothing of it is here any more. */
  giveUp(id: string): void {
    const entry = this.#entries.get(id);
    if (entry) this.#entries.set(id, { ...entry, state: 'aborted' });
  }

  async forget(id: string): Promise<void> {
    await this.#queue.run(id, async () => {
      await this.#journal.remove(id);
      this.#entries.delete(id);
    });
  }

  async #write(entry: DestinationEntry): Promise<void> {
    await this.#journal.write(entry);
    this.#entries.set(entry.id, entry);
  }
}
