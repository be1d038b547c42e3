import { ConflictError, type Entry, type Expected, type Snapshot, type Store, type Watch, type Write } from '../../../driver/store/store.ts';
import { type Connect, EtcdClient, type Members } from './client.ts';
import { deleteRequest, entryOf, getRequest, putRequest, RangeAnswer, rangeOf, TxnAnswer } from './messages.ts';
import { startWatch } from './watch.ts';

/**
 * The store in etcd, spoken to through its JSON gateway over HTTP. That gateway is part of every etcd
 * from 3.4 on and needs no client library; the npm package etcd3 has had no release since 2023, and
 * gRPC would bring a megabyte of code for four calls.
 */
export class EtcdStore implements Store {
  readonly #client: EtcdClient;
  readonly #watches = new Set<Watch>();

  constructor(to: Connect | Members) {
    this.#client = new EtcdClient(to);
  }

  async get(key: string): Promise<Entry | undefined> {
    const answer = RangeAnswer.parse(await this.#client.read('/v3/kv/range', getRequest(key)));
    return answer.kvs.map(entryOf)[0];
  }

  async list(prefix: string): Promise<Snapshot> {
    const answer = RangeAnswer.parse(await this.#client.read('/v3/kv/range', rangeOf(prefix)));
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
    const watch = startWatch(this.#client, prefix, from, on, () => this.#watches.delete(watch));
    this.#watches.add(watch);
    return watch;
  }

  async close(): Promise<void> {
    for (const watch of this.#watches) watch.close();
    this.#client.close();
  }

  async #transact(key: string, request: unknown): Promise<number> {
    const answer = TxnAnswer.parse(await this.#client.post('/v3/kv/txn', request));
    if (!answer.succeeded) throw new ConflictError(key);
    return answer.header.revision;
  }
}
