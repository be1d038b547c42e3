import { ConflictError, type Entry, type Expected, type Store } from './store.ts';
import type { Replica } from './replica.ts';

/** How often a change is tried again when other hosts change the same record at the same time. */
const TRIES = 8;

export interface RecordStore {
  store: Store;
  replica: Replica;
}

/**
 * Reads a record, lets `decide` say what it should be, and writes that, until nobody came in
 * between. What is written is in our own replica at once.
 *
 * @param decide gets `undefined` where there is no record; returns the new value, `undefined` to
 *   leave all as it is, or `'delete'`. What it throws ends the change.
 * @returns the record as it is now
 */
export async function changeRecord<T>(
  { store, replica }: RecordStore,
  key: string,
  parse: (value: unknown) => T,
  decide: (current: T | undefined) => T | 'delete' | undefined,
): Promise<T | undefined> {
  for (let tries = 1; ; tries += 1) {
    const entry: Entry | undefined = await store.get(key);
    const current = entry && parse(entry.value);
    const next = decide(current);
    if (next === undefined) {
      if (entry) replica.note(key, entry.value, entry.revision);
      return current;
    }
    try {
      if (next === 'delete') {
        if (entry) replica.note(key, undefined, await store.delete(key, entry.revision));
        return undefined;
      }
      const expected: Expected = entry?.revision ?? 'absent';
      replica.note(key, next, await store.put(key, next, expected));
      return next;
    } catch (error) {
      if (!(error instanceof ConflictError) || tries === TRIES) throw error;
    }
  }
}
