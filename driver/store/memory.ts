import { ConflictError, StoreAwayError, type Change, type Entry, type Expected, type Snapshot, type Store, type Watch, type Write } from './store.ts';

interface Watcher {
  prefix: string;
  /** The next revision it has not been told of. */
  next: number;
  on: { change(changes: Change[], revision: number): void; lost(error: unknown): void };
}

/**
 * A store in memory, for tests: the same promises as etcd's, and two switches for its bad days.
 * Several hosts of a test share one object.
 */
export class MemoryStore implements Store {
  readonly #entries = new Map<string, Entry>();
  readonly #history: Change[] = [];
  readonly #watchers = new Set<Watcher>();
  #revision = 1;
  #oldest = 1;
  #away = false;

  /** While away every call fails and watches are silent; afterwards they miss nothing. */
  get away(): boolean {
    return this.#away;
  }

  set away(away: boolean) {
    this.#away = away;
    this.#wake();
  }

  /** Forgets the history so far, as etcd's compaction does. */
  compact(): void {
    this.#history.length = 0;
    this.#oldest = this.#revision + 1;
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#check();
    const entry = this.#entries.get(key);
    return entry && structuredClone(entry);
  }

  async list(prefix: string): Promise<Snapshot> {
    this.#check();
    const entries = [...this.#entries.values()].filter(({ key }) => key.startsWith(prefix));
    entries.sort((a, b) => (a.key < b.key ? -1 : 1));
    return { entries: structuredClone(entries), revision: this.#revision };
  }

  async put(key: string, value: unknown, expected: Expected): Promise<number> {
    return this.putAll([{ key, value, expected }]);
  }

  async putAll(writes: readonly Write[]): Promise<number> {
    this.#check();
    for (const { key, expected } of writes) {
      const old = this.#entries.get(key);
      if (expected !== 'any' && (expected === 'absent' ? old !== undefined : old?.revision !== expected)) throw new ConflictError(key);
    }
    const revision = ++this.#revision;
    const entries = writes.map(({ key, value }) => ({ key, value: JSON.parse(JSON.stringify(value)) as unknown, revision }));
    for (const entry of entries) this.#entries.set(entry.key, entry);
    return this.#tell(...entries);
  }

  async delete(key: string, expected: number | 'any'): Promise<number> {
    this.#check();
    const old = this.#entries.get(key);
    if (expected !== 'any' && old?.revision !== expected) throw new ConflictError(key);
    if (!old) return this.#revision;
    this.#entries.delete(key);
    return this.#tell({ key, value: undefined, revision: ++this.#revision });
  }

  watch(prefix: string, from: number, on: Watcher['on']): Watch {
    const watcher: Watcher = { prefix, next: from, on };
    this.#watchers.add(watcher);
    this.#wake();
    return { close: () => void this.#watchers.delete(watcher) };
  }

  async close(): Promise<void> {
    this.#watchers.clear();
  }

  #check(): void {
    if (this.#away) throw new StoreAwayError(new Error('switched off'));
  }

  #tell(...changes: Change[]): number {
    this.#history.push(...changes);
    this.#wake();
    return this.#revision;
  }

  /** Watches hear of a change after the writer's call, as over a network. */
  #wake(): void {
    setImmediate(() => {
      if (this.#away) return;
      for (const watcher of this.#watchers) this.#serve(watcher);
    });
  }

  #serve(watcher: Watcher): void {
    if (watcher.next < this.#oldest && watcher.next <= this.#revision) {
      this.#watchers.delete(watcher);
      watcher.on.lost(new Error(`revision ${watcher.next} is compacted`));
      return;
    }
    const news = this.#history.filter(({ revision }) => revision >= watcher.next);
    watcher.next = Math.max(watcher.next, this.#revision + 1);
    for (const revision of new Set(news.map((change) => change.revision))) {
      const changes = news.filter((change) => change.revision === revision && change.key.startsWith(watcher.prefix));
      if (changes.length > 0) watcher.on.change(structuredClone(changes), revision);
    }
  }
}
