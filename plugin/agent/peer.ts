import type { Duplex, Readable } from 'node:stream';

/** For a call that takes as long as it takes: the longest time of a timer (setTimeout in Node.js), ms. */
export const FOREVER_MS = 2 ** 31 - 1;

/** Another host's agent, as this one reaches it. Failures arrive as the CoatError the other side threw. */
export interface Peer {
  readonly name: string;
  readonly address: string;
  /** POSTs JSON, answers JSON. `timeout` in ms, default 30 s. @throws CoatError `peer-away` when it cannot be reached */
  call<T>(path: string, body: unknown, options?: { signal?: AbortSignal; timeout?: number }): Promise<T>;
  /** POSTs a stream of bytes, answers JSON. No time-out of its own. */
  upload<T>(path: string, body: Readable, options?: { signal?: AbortSignal }): Promise<T>;
  /** A raw connection to a handler at the other side; either end may end its half. */
  tunnel(path: string): Promise<Duplex>;
  /**
   * A tunnel for bulk, whose bytes all come from the other side and fast. Resolves when it stands.
   *
   * @param take gets each piece, and must be done with it when it returns; what it throws ends the tunnel
   */
  drain(path: string, take: (bytes: Buffer) => void): Promise<Drain>;
  /** Ends `what` when this peer does not answer any more. @returns ends the watch */
  watch(what: { destroy(error: Error): unknown }): () => void;
}

export interface Drain {
  /**
   * Resolves when the other side has ended it, rejects when it broke. A side that dies may seem to end it: what is sent must
   * say for itself whether it is whole.
   */
  ended: Promise<void>;
  destroy(error?: Error): void;
}

export interface Peers {
  /** @throws CoatError `unknown-host` */
  get(name: string): Peer;
  /** All hosts but this one. */
  others(): Peer[];
}

/** What this agent offers its peers. Paths begin with `/v1/`; `from` is the peer's host name. */
export interface PeerRoutes {
  call(path: string, handler: (body: unknown, from: string) => Promise<unknown>): void;
  /** A call that is answered to anybody, member or not. */
  guest(path: string, handler: (body: unknown) => Promise<unknown>): void;
  /** The query string of an upload or tunnel path arrives parsed. */
  upload(path: string, handler: (body: Readable, query: URLSearchParams, from: string) => Promise<unknown>): void;
  tunnel(path: string, handler: (stream: Duplex, query: URLSearchParams, from: string) => void): void;
}
