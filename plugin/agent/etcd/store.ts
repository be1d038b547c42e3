import { Agent } from 'node:http';
import type { Duplex } from 'node:stream';
import { ConflictError, type Entry, type Expected, type Snapshot, type Store, type Watch, type Write } from '../../../driver/store/store.ts';
import { post } from './gateway.ts';
import { deleteRequest, entryOf, getRequest, putRequest, RangeAnswer, rangeOf, TxnAnswer } from './messages.ts';
import { startWatch } from './watch.ts';

/** Opens a connection to etcd: its unix socket on the host that runs it, a tunnel between agents elsewhere. */
export type Connect = () => Promise<Duplex>;

/**
 * The store in etcd, spoken to through its JSON gateway over HTTP. That gateway is part of every etcd
 * from 3.4 on and needs no client library; the npm package etcd3 has had no release since 2023, and
 * gRPC would bring a megabyte of code for four calls.
 */
export class EtcdStore implements Store {
  readonly #agent: Agent;
  readonly #watches = new Set<Watch>();

  constructor(connect: Connect) {
    this.#agent = new ConnectingAgent(connect);
  }

  async get(key: string): Promise<Entry | undefined> {
    const answer = RangeAnswer.parse(await post(this.#agent, '/v3/kv/range', getRequest(key)));
    return answer.kvs.map(entryOf)[0];
  }

  async list(prefix: string): Promise<Snapshot> {
    const answer = RangeAnswer.parse(await post(this.#agent, '/v3/kv/range', rangeOf(prefix)));
    return { entries: answer.kvs.map(entryOf), revision: answer.header.revision };
  }

  async put(key: string, value: unknown, expected: Expected): Promise<number> {
    return this.putAll([{ key, value, expected }]);
  }

  async putAll(writes: readonly Write[]): Promise<number> {
    return this.#transact(writes.map(({ key }) => key).join(', '), putRequest(writes));
  }

  async delete(key: string, expected: number | 'any'): Promise<number> {
    return this.#transact(key, deleteRequest(key, expected));
  }

  watch(prefix: string, from: number, on: Parameters<Store['watch']>[2]): Watch {
    const watch = startWatch(this.#agent, prefix, from, on, () => this.#watches.delete(watch));
    this.#watches.add(watch);
    return watch;
  }

  async close(): Promise<void> {
    for (const watch of this.#watches) watch.close();
    this.#agent.destroy();
  }

  async #transact(key: string, request: unknown): Promise<number> {
    const answer = TxnAnswer.parse(await post(this.#agent, '/v3/kv/txn', request));
    if (!answer.succeeded) throw new ConflictError(key);
    return answer.header.revision;
  }
}

/** Keeps connections for the next call, and makes new ones with `connect`. */
class ConnectingAgent extends Agent {
  readonly #connect: Connect;

  constructor(connect: Connect) {
    super({ keepAlive: true });
    this.#connect = connect;
  }

  override createConnection(_options: unknown, done?: (error: Error | null, stream: Duplex) => void): undefined {
    this.#connect().then(
      (stream) => done?.(null, stream),
      (error: unknown) => done?.(error as Error, undefined as unknown as Duplex),
    );
  }
}
