import { ConflictError, type Entry, type Expected, type Store } from './store.ts';
import type { Replica } from './replica.ts';

/** How often a change is tried again when other hosts change the same record at the same time. */
const TRIES = 8;

export interface RecordStore {
  store: Store;
  replica: Replica;
}

/** A record after {@link changeStored}. */
export interface Changed<T> {
  /** `undefined` where there is no such record. */
  value: T | undefined;
  /** As it is stored. */
  stored: unknown;
  /** The store's revision that shows it; `undefined` where there never was a record. */
  revision: number | undefined;
}

/** What a record should be: a new value, `'delete'`, or `undefined` to leave all as it is. */
type Decide<T> = (current: T | undefined) => T | 'delete' | undefined;

/**
 * Reads a record, lets `decide` say what it should be, and writes that, until nobody came in between.
 *
 * @param decide gets `undefined` where there is no record; what it throws ends the change
 * @throws ConflictError when others were faster {@link TRIES} times
 */
export async function changeStored<T>(store: Store, key: string, parse: (value: unknown) => T, decide: Decide<T>): Promise<Changed<T>> {
  for (let tries = 1; ; tries += 1) {
    const entry: Entry | undefined = await store.get(key);
    const current = entry && parse(entry.value);
    const next = decide(current);
    if (next === undefined || (next === 'delete' && !entry)) return { value: current, stored: entry?.value, revision: entry?.revision };
    try {
      if (next === 'delete') return { value: undefined, stored: undefined, revision: await store.delete(key, entry!.revision) };
      const expected: Expected = entry?.revision ?? 'absent';
      return { value: next, stored: next, revision: await store.put(key, next, expected) };
    } catch (error) {
      if (!(error instanceof ConflictError) || tries === TRIES) throw error;
    }
  }
}

/** {@link changeStored}, and what the record became is in our own replica at once. @returns the record as it is now */
export async function changeRecord<T>({ store, replica }: RecordStore, key: string, parse: (value: unknown) => T, decide: Decide<T>): Promise<T | undefined> {
  const { value, stored, revision } = await changeStored(store, key, parse, decide);
  if (revision !== undefined) replica.note(key, stored, revision);
  return value;
}
