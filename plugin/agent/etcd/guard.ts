import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import { codeOf, type CoatError, explain } from '../../../driver/host/errors.ts';
import { KeyedQueue } from '../../../driver/host/queue.ts';
import { StoreAwayError } from '../../../driver/store/store.ts';
import type { Member } from '../membership.ts';
import { forbidden, MAY } from '../rights/change.ts';
import { judge } from '../rights/rights.ts';
import { EtcdClient } from './client.ts';
import { PREFIX } from './messages.ts';
import { connectTo } from './socket.ts';
import { type Judge, transact, Transaction } from './transaction.ts';

/** gRPC's codes for what is refused here, for what came to nothing, and for what etcd itself refuses. */
const DENIED = 7;
const UNAVAILABLE = 14;
const FAILED = 9;

/** The largest question, bytes; etcd takes 1.5 MB (--max-request-bytes), and coat's are some hundreds. */
const LARGEST = 256 * 1024;

const Key = z.string().refine((key) => Buffer.from(key, 'base64').toString().startsWith(PREFIX), 'a key that is not of coat');
/** Exclusive, so that it may be the first one after all of ours. */
const End = z.string().refine((key) => Buffer.compare(Buffer.from(key, 'base64'), AFTER) <= 0, 'a range that is not of coat');
const AFTER = Buffer.from(`${PREFIX.slice(0, -1)}0`);

const Range = z.strictObject({ key: Key, range_end: End.optional() });
/** What may be read, and how: calls that make no sense to coat are none of a host's that is only a client. */
const MAY_READ: Record<string, z.ZodType> = {
  '/v3/kv/range': Range,
  '/v3/watch': z.strictObject({ create_request: Range.extend({ start_revision: z.string(), progress_notify: z.boolean() }) }),
};

export interface GuardOptions {
  /** etcd's. */
  socketPath: string;
  /** A member of the cluster, as it is now. */
  find: (name: string) => Member | undefined;
  /** By default what rights/rights.ts says. */
  judge?: Judge;
}

/**
 * Stands before etcd for hosts that do not keep the store: they read and watch records of coat, write what they have a right to,
 * and nothing else. They change no members, switch nothing off, and see nothing that others may have in there.
 *
 * What is passed on is what was understood, written anew, so that etcd cannot understand it otherwise.
 */
export class Guard {
  readonly #options: GuardOptions;
  readonly #server: Server;
  readonly #etcd: EtcdClient;
  readonly #who = new WeakMap<object, string>();
  /** What goes to the same records one after the other, so that it does not have to be looked at anew. */
  readonly #turns = new KeyedQueue();

  constructor(options: GuardOptions) {
    this.#options = options;
    this.#etcd = new EtcdClient(() => connectTo(options.socketPath));
    this.#server = createServer({ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 }, (asked, answer) => void this.#pass(asked, answer));
  }

  /** A connection of a client. @param from the host it is from, as was proved */
  take(stream: Duplex, from: string): void {
    this.#who.set(stream, from);
    this.#server.emit('connection', stream);
  }

  /** No more questions to etcd. */
  close(): void {
    this.#etcd.close();
  }

  async #pass(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    try {
      const from = this.#who.get(asked.socket);
      const member = from === undefined ? undefined : this.#options.find(from);
      if (member === undefined) throw forbidden(`host ${from} is not of this cluster any more`);
      const path = asked.url ?? '';
      const reads = Object.hasOwn(MAY_READ, path) ? MAY_READ[path] : undefined;
      const shape = path === '/v3/kv/txn' ? Transaction : reads;
      if (shape === undefined || asked.method !== 'POST') throw forbidden(`${path} is not for hosts that do not keep the store`);
      const parsed = shape.safeParse(JSON.parse(await textOf(asked)));
      if (!parsed.success) throw forbidden(z.prettifyError(parsed.error));
      if (reads !== undefined) return this.#forward(path, JSON.stringify(parsed.data), answer);
      const wanted = parsed.data as Transaction;
      const done = await this.#turns.run(placeOf(wanted), async () => {
        // who has given up waiting would not know that it is done after all
        if (answer.destroyed) throw new StoreAwayError(new Error('nobody waits for it any more'));
        return transact(this.#etcd, member, wanted, this.#judgeFor(member));
      });
      answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(done));
    } catch (error) {
      this.#refuse(answer, error);
    }
  }

  /** One that keeps the store by now may have come this way before it did. */
  #judgeFor({ store }: Member): Judge {
    return store === undefined ? (this.#options.judge ?? judge) : () => MAY;
  }

  #refuse(answer: ServerResponse, error: unknown): void {
    const code = codeOf(error);
    if (code === 'store-away') return refuse(answer, 503, UNAVAILABLE, explain(error));
    if (code === 'not-yours') return refuse(answer, 403, DENIED, (error as CoatError).message);
    refuse(answer, 400, FAILED, explain(error));
  }

  #forward(path: string, body: string, answer: ServerResponse): void {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), 'grpc-metadata-hasleader': 'true' };
    const made = request({ socketPath: this.#options.socketPath, path, method: 'POST', headers }, (response) => {
      answer.writeHead(response.statusCode ?? 502, { 'content-type': 'application/json' }).flushHeaders();
      response.on('error', () => answer.destroy()).pipe(answer);
    });
    made.on('error', (error) => (answer.headersSent ? answer.destroy() : refuse(answer, 503, UNAVAILABLE, error.message)));
    // a watch ends with its client
    answer.on('close', () => made.destroy());
    made.end(body);
  }
}

/** The network whose claims are written; or whatever else it is. */
function placeOf({ success: [first] }: Transaction): string {
  const key = first === undefined ? '' : 'request_put' in first ? first.request_put.key : first.request_delete_range.key;
  return key.startsWith('claims/') ? key.slice(0, key.lastIndexOf('/')) : key.split('/')[0]!;
}

async function textOf(asked: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of asked) {
    size += (chunk as Buffer).length;
    if (size > LARGEST) throw forbidden(`more than ${LARGEST} bytes are no question`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString();
}

function refuse(answer: ServerResponse, status: number, code: number, message: string): void {
  if (answer.headersSent) return void answer.destroy();
  answer.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ code, message, error: message }));
}
