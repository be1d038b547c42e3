import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { PREFIX } from './messages.ts';

/** gRPC's codes for what is refused here, and for what came to nothing. */
const DENIED = 7;
const UNAVAILABLE = 14;

const Key = z.string().refine((key) => Buffer.from(key, 'base64').toString().startsWith(PREFIX), 'a key that is not of coat');
/** Exclusive, so that it may be the first one after all of ours. */
const End = z.string().refine((key) => Buffer.compare(Buffer.from(key, 'base64'), AFTER) <= 0, 'a range that is not of coat');
const AFTER = Buffer.from(`${PREFIX.slice(0, -1)}0`);

const Range = z.strictObject({ key: Key, range_end: End.optional() });
/** What may be asked, and how: calls that make no sense to coat are none of a host's that is only a client. */
const MAY: Record<string, z.ZodType> = {
  '/v3/kv/range': Range,
  '/v3/kv/txn': z.strictObject({
    compare: z.array(z.strictObject({ key: Key, target: z.literal('MOD'), result: z.literal('EQUAL'), mod_revision: z.string() })),
    success: z.array(z.union([z.strictObject({ request_put: z.strictObject({ key: Key, value: z.string() }) }), z.strictObject({ request_delete_range: z.strictObject({ key: Key }) })])),
  }),
  '/v3/watch': z.strictObject({ create_request: Range.extend({ start_revision: z.string(), progress_notify: z.boolean() }) }),
};

/**
 * Stands before etcd for hosts that do not keep the store: they read, write and watch records of coat, and nothing else. They change
 * no members, switch nothing off, and see nothing that others may have in there.
 *
 * What is passed on is what was understood, written anew, so that etcd cannot understand it otherwise.
 */
export class Guard {
  readonly #socketPath: string;
  readonly #server: Server;

  /** @param socketPath etcd's */
  constructor(socketPath: string) {
    this.#socketPath = socketPath;
    this.#server = createServer({ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 }, (asked, answer) => void this.#pass(asked, answer));
  }

  /** A connection of a client. */
  take(stream: Duplex): void {
    this.#server.emit('connection', stream);
  }

  async #pass(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    try {
      const path = asked.url ?? '';
      const shape = Object.hasOwn(MAY, path) && asked.method === 'POST' ? MAY[path] : undefined;
      const parsed = shape?.safeParse(JSON.parse(await text(asked)));
      if (parsed === undefined) return refuse(answer, 403, DENIED, `${path} is not for hosts that do not keep the store`);
      if (!parsed.success) return refuse(answer, 403, DENIED, z.prettifyError(parsed.error));
      this.#forward(path, JSON.stringify(parsed.data), answer);
    } catch (error) {
      refuse(answer, 400, DENIED, String(error));
    }
  }

  #forward(path: string, body: string, answer: ServerResponse): void {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), 'grpc-metadata-hasleader': 'true' };
    const made = request({ socketPath: this.#socketPath, path, method: 'POST', headers }, (response) => {
      answer.writeHead(response.statusCode ?? 502, { 'content-type': 'application/json' }).flushHeaders();
      response.on('error', () => answer.destroy()).pipe(answer);
    });
    made.on('error', (error) => (answer.headersSent ? answer.destroy() : refuse(answer, 503, UNAVAILABLE, error.message)));
    // a watch ends with its client
    answer.on('close', () => made.destroy());
    made.end(body);
  }
}

function refuse(answer: ServerResponse, status: number, code: number, message: string): void {
  if (answer.headersSent) return void answer.destroy();
  answer.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ code, message, error: message }));
}
