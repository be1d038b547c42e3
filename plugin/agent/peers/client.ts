import { type ClientRequest, type IncomingMessage, request, type RequestOptions } from 'node:http';
import { pipeline, type Duplex, type Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { CoatError } from '../../../driver/host/errors.ts';
import type { Member } from '../membership.ts';
import type { Drain, Peer } from '../peer.ts';
import { dial, type OnRead, PeerPool } from './dial.ts';
import { drain } from './drain.ts';
import { peerLost, peerTimeout } from './errors.ts';
import { errorFrom } from './problem.ts';
import { type Ends, Pulse } from './pulse.ts';
import type { Security } from './tls.ts';
import { CHUNK, HEADERS, headersTo, KIND } from './wire.ts';

const CALL_MS = 30_000;
/** A living agent answers a ping at once; ms. */
const PING_MS = 3_000;

/** One other agent. Connections are made when needed and kept for the next call. */
export class PeerClient implements Peer {
  readonly name: string;
  readonly address: string;
  readonly #dial: (halfOpen: boolean, onread?: OnRead) => Promise<TLSSocket>;
  readonly #pool: PeerPool;
  readonly #pulse: Pulse;

  constructor(member: Member, port: number, security: Security) {
    this.name = member.name;
    this.address = member.address;
    this.#dial = (halfOpen, onread) => dial(member, port, security, halfOpen, onread);
    this.#pool = new PeerPool(() => this.#dial(false));
    this.#pulse = new Pulse(
      () => this.#post('/v1/ping', { body: '{}' }, { timeout: PING_MS }),
      () => peerLost(this.name, new Error('it does not answer any more')),
    );
  }

  async call<T>(path: string, body: unknown, options: { signal?: AbortSignal; timeout?: number } = {}): Promise<T> {
    const text = body === undefined ? '' : JSON.stringify(body);
    return (await this.#post(path, { body: text }, { timeout: CALL_MS, ...options })) as T;
  }

  async upload<T>(path: string, body: Readable, options: { signal?: AbortSignal } = {}): Promise<T> {
    return (await this.#post(path, { stream: body }, options)) as T;
  }

  async tunnel(path: string): Promise<Duplex> {
    const connection = await this.#dial(true);
    const made = request({ path, headers: { ...HEADERS.upgrade, ...headersTo(this.name) }, createConnection: () => connection });
    const stop = this.#pulse.watch(connection);
    connection.once('close', stop);
    return new Promise((resolve, reject) => {
      made.once('upgrade', (_response, stream, head) => {
        if (head.length > 0) stream.unshift(head);
        resolve(stream);
      });
      made.once('response', (response) => {
        this.#answerOf(response).then(() => new CoatError('peer-answer', `host ${this.name} made no tunnel of ${path}`), asError).then(reject, reject);
      });
      made.once('error', (error) => reject(error instanceof CoatError ? error : peerLost(this.name, error)));
      made.end();
    });
  }

  async drain(path: string, take: (bytes: Buffer) => void): Promise<Drain> {
    const drained = await drain((onread) => this.#dial(false, onread), this.name, path, take);
    const stop = this.#pulse.watch(drained);
    void drained.ended.then(stop, stop);
    return drained;
  }

  watch(what: Ends): () => void {
    return this.#pulse.watch(what);
  }

  close(): void {
    this.#pool.destroy();
  }

  #post(path: string, content: { body: string } | { stream: Readable }, options: { signal?: AbortSignal; timeout?: number }): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const made = request(this.#requestOptions(path, content));
      const timer = options.timeout === undefined ? undefined : setTimeout(() => made.destroy(peerTimeout(this.name, path, options.timeout!)), options.timeout);
      const aborted = (): void => void made.destroy(asError(options.signal?.reason));
      // an upload has no time-out, so somebody must notice when the peer dies
      const stop = 'stream' in content ? this.#pulse.watch(made) : undefined;
      let settled = false;
      const settle = (): boolean => {
        if (settled) return false;
        settled = true;
        clearTimeout(timer);
        options.signal?.removeEventListener('abort', aborted);
        stop?.();
        return true;
      };
      const fail = (error: unknown): void => {
        if (settle()) reject(this.#named(error, options.signal));
      };
      made.once('error', fail);
      made.once('response', (response) => {
        this.#answerOf(response)
          .finally(() => hangUpUnlessSent(made))
          .then((answer) => settle() && resolve(answer), fail);
      });
      if (options.signal?.aborted) aborted();
      options.signal?.addEventListener('abort', aborted, { once: true });
      if ('body' in content) made.end(content.body);
      else pipeline(content.stream, made, (error) => error && fail(error));
    });
  }

  #requestOptions(path: string, content: { body: string } | { stream: Readable }): RequestOptions {
    const kind = 'body' in content ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(content.body) } : { [KIND]: 'upload' };
    return { agent: this.#pool, method: 'POST', host: this.name, path, headers: { ...kind, ...headersTo(this.name) }, highWaterMark: CHUNK } as RequestOptions;
  }

  /** A failure as the caller shall see it: a cancellation stays one, everything nameless is a broken connection. */
  #named(error: unknown, signal: AbortSignal | undefined): Error {
    if (error instanceof CoatError || (signal?.aborted && error instanceof Error && error === signal.reason)) return error;
    return peerLost(this.name, error);
  }

  async #answerOf(response: IncomingMessage): Promise<unknown> {
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    if (response.statusCode !== 200) throw errorFrom(text, this.name);
    return JSON.parse(text) as unknown;
  }
}

/** An answer that comes before the whole upload was sent ends the upload. */
function hangUpUnlessSent(made: ClientRequest): void {
  if (!made.writableFinished) made.destroy();
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new CoatError('cancelled', 'cancelled');
}
