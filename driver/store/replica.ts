import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../host/errors.ts';
import type { Log } from '../host/log.ts';
import { Claim, Host, Network, hostKey } from '../overlay/records.ts';
import { Saved } from './saved.ts';
import type { Change, Entry, Snapshot, Store, Watch } from './store.ts';

/** How long changes are gathered before the file is written, in ms. */
const PERSIST_AFTER_MS = 200;
/** How long to wait before the store is asked again, in ms. */
const RETRY_MS = 1_000;
/** How often a quiet store is asked whether it is still there, in ms. */
const PROBE_MS = 5_000;

/** What is another than before. */
export interface Changes {
  /** By key, as they were; `undefined` where there was none. */
  claims: Map<string, Claim | undefined>;
  /** Whether hosts or networks have changed too, or so much that it is not told one by one. */
  others: boolean;
}

type Listener = (changes: Changes) => void;

/**
 * All hosts, networks and claims, as the store had them when it was last heard of. It is in memory
 * and in a file, so a host starts, forwards and stops containers while the store is away.
 *
 * INVARIANT: a record never goes back to an older revision, whichever way the news arrive.
 */
export class Replica {
  readonly hosts = new Map<string, Host>();
  readonly networks = new Map<string, Network>();
  /** By `<network key>/<ip>`. */
  readonly claims = new Map<string, Claim>();
  readonly #store: Store;
  readonly #host: string;
  readonly #file: string;
  readonly #saved: Saved;
  readonly #log: Log;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<Listener>();
  /** What the file does not have yet. */
  #unsaved: Change[] | 'all' = 'all';
  readonly #stop = new AbortController();
  /** Deletions of our own that a watch has yet to report, so that it cannot bring the record back. */
  readonly #deleted = new Map<string, number>();
  #revision = 0;
  #connected = false;
  #timer: NodeJS.Timeout | undefined;
  #watch: Watch | undefined;
  #following: Promise<void> = Promise.resolve();

  /** @param host this host's name: its own record is what the store is probed with */
  constructor({ store, host, file, log }: { store: Store; host: string; file: string; log: Log }) {
    this.#store = store;
    this.#host = host;
    this.#file = file;
    this.#saved = new Saved(file);
    this.#log = log;
  }

  /** Every change up to this revision is in here. */
  get revision(): number {
    return this.#revision;
  }

  /** Whether the store answered when it was last asked. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Calls `listener` after changes, and when the store comes or goes. @returns a function that ends it */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The revision a record was last changed at, for a compare-and-swap. */
  revisionOf(key: string): number | undefined {
    return this.#entries.get(key)?.revision;
  }

  /** What the file has. A damaged file is as good as none. */
  async load(): Promise<void> {
    try {
      const saved = await this.#saved.load();
      for (const entry of saved?.entries ?? []) this.#set(entry);
      this.#revision = saved?.revision ?? 0;
    } catch (error) {
      this.#log.error({ err: error, file: this.#file }, 'the saved replica cannot be read: starting without');
    }
  }

  /** Follows the store from now on. Resolves after the first attempt, whether the store answered or not. */
  async start(patience = 2_000): Promise<void> {
    let first: () => void = () => undefined;
    const attempted = new Promise<void>((resolve) => (first = resolve));
    this.#following = Promise.all([this.#follow(first), this.#probe()]).then(() => undefined);
    await Promise.race([attempted, sleep(patience, undefined, { ref: false })]);
  }

  /** Ends following, and writes what is not yet written. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#watch?.close();
    await this.#following;
    clearTimeout(this.#timer);
    if (this.#timer) await this.#persist();
  }

  /** Takes over a write of our own without waiting for the watch to report it. `value` undefined: deleted. */
  note(key: string, value: unknown, revision: number): void {
    this.#take([{ key, value, revision }]);
  }

  async #follow(attempted: () => void): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        const snapshot = await this.#store.list('');
        this.#replace(snapshot);
        this.#setConnected(true);
        attempted();
        await this.#watchFrom(snapshot.revision + 1);
      } catch (error) {
        this.#setConnected(false, error);
        attempted();
        await this.#pause(RETRY_MS);
      }
    }
  }

  /** Resolves when the watch has to be begun anew, or is no longer wanted. */
  #watchFrom(revision: number): Promise<void> {
    return new Promise((resolve) => {
      this.#stop.signal.addEventListener('abort', () => resolve(), { once: true });
      this.#watch = this.#store.watch('', revision, {
        change: (changes, at) => {
          this.#revision = Math.max(this.#revision, at);
          this.#take(changes);
        },
        lost: (error) => {
          this.#log.warn({ reason: explain(error) }, 'the watch on the store ended, listing anew');
          resolve();
        },
      });
    });
  }

  /** A watch is silent when nothing changes and when the store is gone; only a question tells which. */
  async #probe(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#pause(PROBE_MS);
      if (this.#stop.signal.aborted) return;
      await this.#store.get(hostKey(this.#host)).then(
        () => this.#setConnected(true),
        (error: unknown) => this.#setConnected(false, error),
      );
    }
  }

  #replace({ entries, revision }: Snapshot): void {
    if (revision < this.#revision) this.#log.warn({ ours: this.#revision, theirs: revision }, 'the store is older than the replica: it was restored or replaced');
    const backwards = revision < this.#revision;
    const there = new Set(entries.map(({ key }) => key));
    const gone = [...this.#entries.values()].filter((entry) => !there.has(entry.key) && (backwards || entry.revision <= revision));
    for (const { key } of gone) this.#remove(key);
    if (backwards) this.#entries.clear();
    this.#revision = revision;
    this.#take(entries, true);
  }

  /** @param all whether they are all there are */
  #take(changes: readonly Change[], all = false): void {
    let others = all;
    if (all) this.#unsaved = 'all';
    const claims = new Map<string, Claim | undefined>();
    for (const change of changes) {
      const { kind, name } = split(change.key);
      const known = Math.max(this.#entries.get(change.key)?.revision ?? 0, this.#deleted.get(change.key) ?? 0);
      if (change.revision < known) continue;
      if (kind === 'hosts' || kind === 'networks') others = true;
      if (kind === 'claims' && !claims.has(name)) claims.set(name, this.claims.get(name));
      if (this.#unsaved !== 'all') this.#unsaved.push(change);
      if (change.value === undefined) {
        this.#remove(change.key);
        this.#deleted.set(change.key, change.revision);
      } else this.#set(change);
    }
    for (const [key, revision] of this.#deleted) if (revision <= this.#revision) this.#deleted.delete(key);
    this.#timer ??= setTimeout(() => void this.#persist(), PERSIST_AFTER_MS);
    this.#tell({ claims, others });
  }

  #set(entry: Entry): void {
    const { kind, name } = split(entry.key);
    try {
      if (kind === 'hosts') this.hosts.set(name, Host.parse(entry.value));
      else if (kind === 'networks') this.networks.set(name, Network.parse(entry.value));
      else if (kind === 'claims') this.claims.set(name, Claim.parse(entry.value));
      else return;
      this.#entries.set(entry.key, entry);
    } catch (error) {
      this.#log.error({ err: error, key: entry.key }, 'a record of the store makes no sense: skipped');
    }
  }

  #remove(key: string): void {
    const { kind, name } = split(key);
    this.#entries.delete(key);
    if (kind === 'hosts') this.hosts.delete(name);
    if (kind === 'networks') this.networks.delete(name);
    if (kind === 'claims') this.claims.delete(name);
  }

  #setConnected(connected: boolean, error?: unknown): void {
    if (connected === this.#connected) return;
    this.#connected = connected;
    if (connected) this.#log.info({ revision: this.#revision }, 'the store answers');
    else this.#log.warn({ reason: explain(error) }, 'the store is away: going on from the replica');
    this.#tell({ claims: new Map(), others: false });
  }

  #tell(changes: Changes): void {
    for (const listener of this.#listeners) listener(changes);
  }

  async #persist(): Promise<void> {
    this.#timer = undefined;
    const unsaved = this.#unsaved;
    this.#unsaved = [];
    await this.#saved.save(this.#revision, unsaved, this.#entries).catch((error: unknown) => {
      this.#unsaved = 'all';
      this.#log.error({ err: error }, 'the replica cannot be saved');
    });
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stop.signal, ref: false }).catch(() => undefined);
  }
}

function split(key: string): { kind: string; name: string } {
  const slash = key.indexOf('/');
  return { kind: key.slice(0, slash), name: key.slice(slash + 1) };
}
