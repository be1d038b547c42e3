import { CoatError } from '../../../driver/host/errors.ts';

/** A host that wants to write. */
export interface Writer {
  name: string;
  /** Underlay address, as the settings name it; of a host that has joined its record says it. */
  address: string;
  /** See Member; absent where the settings name the hosts. */
  key?: string | undefined;
}

/** One record of a transaction, as it is and as it would be; `undefined` where there is none. */
export interface Change {
  key: string;
  before: unknown;
  after: unknown;
}

/** What is known of the other records. All of it is to be as it was when the change is made. */
export interface Known {
  /** ms since 1970. */
  now: number;
  get(key: string): unknown;
  /** All records whose keys begin so; `undefined` where they were not looked at yet. */
  under(prefix: string): ReadonlyMap<string, unknown> | undefined;
}

/** Prefixes that have to be looked at before it can be said; none: it may be done. */
export type Wanted = readonly string[];

export const MAY: Wanted = [];

export function forbidden(message: string): CoatError {
  return new CoatError('not-yours', message, { hint: 'a host that does not keep the store writes only what is its own, see docs/cluster.md, "Who may do what"' });
}
