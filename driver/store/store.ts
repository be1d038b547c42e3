import { CoatError } from '../host/errors.ts';

/** One record as the store has it. `revision` is the store-wide revision of its last change (etcd: mod_revision). */
export interface Entry {
  key: string;
  value: unknown;
  revision: number;
}

/** One change seen by a watch. A deleted record has `value: undefined`. */
export type Change = Entry;

export interface Snapshot {
  entries: Entry[];
  /** Revision of the whole store the entries are from; a watch that starts at `revision + 1` misses nothing. */
  revision: number;
}

export interface Watch {
  close(): void;
}

/** What a write expects to find: a record at exactly this revision, `'absent'`, or `'any'`. */
export type Expected = number | 'absent' | 'any';

/** One of several writes that happen together. */
export interface Write {
  key: string;
  value: unknown;
  expected: Expected;
}

/** Somebody else changed the record first; read it again and decide anew. */
export class ConflictError extends CoatError {
  constructor(key: string) {
    super('conflict', `the record ${key} was changed by another host at the same time`, { hint: 'try again' });
  }
}

/** The store did not answer. */
export class StoreAwayError extends CoatError {
  constructor(cause: unknown) {
    super('store-away', 'the store of the cluster does not answer', {
      hint: 'check that the host that runs etcd is up and reachable (docker coat status)',
      cause,
    });
  }
}

/**
 * The truth about hosts, networks and claims: JSON records under `/`-separated keys, with
 * compare-and-swap and an ordered watch, which is the part of etcd's model that COAT relies on.
 */
export interface Store {
  get(key: string): Promise<Entry | undefined>;
  list(prefix: string): Promise<Snapshot>;
  /** @returns the revision of the write. @throws {@link ConflictError} */
  put(key: string, value: unknown, expected: Expected): Promise<number>;
  /** Writes all of them at one revision, or none. @returns that revision. @throws {@link ConflictError} */
  putAll(writes: readonly Write[]): Promise<number>;
  /** Deleting what is absent succeeds with `expected: 'any'`. @throws {@link ConflictError} */
  delete(key: string, expected: number | 'any'): Promise<number>;
  /**
   * Reports every change under `prefix` from revision `from` on, in order, in batches of one revision,
   * through disconnections. `lost` is called when changes can no longer be replayed (etcd: compacted);
   * the watch has ended then and the caller lists anew.
   */
  watch(prefix: string, from: number, on: { change(changes: Change[], revision: number): void; lost(error: unknown): void }): Watch;
  close(): Promise<void>;
}
