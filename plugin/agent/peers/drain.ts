import type { TLSSocket } from 'node:tls';
import { CoatError } from '../../../driver/host/errors.ts';
import type { Drain } from '../peer.ts';
import type { OnRead } from './dial.ts';
import { peerLost } from './errors.ts';
import { errorFrom } from './problem.ts';
import { HEADERS, headersTo } from './wire.ts';

/** As much as the TLS library hands out at once is a quarter of this, bytes. */
const BUFFER = 64 << 10;
/** An answer's head is a few lines, and an error a few more; bytes. */
const HEAD_LIMIT = 16 << 10;

/** Opens a connection whose bytes all go through one buffer. */
export type DialInto = (onread: OnRead) => Promise<TLSSocket>;

/**
 * {@link Peer.drain}. Node's own client makes an object of every 16 KiB and hands it through the layers of HTTP and streams: a
 * third of the speed, and a garbage collection every 64 MiB that takes the other processor as well. So the request is written
 * by hand here; it is the one that `tunnel` makes, and the server cannot tell them apart.
 */
export async function drain(dial: DialInto, peer: string, path: string, take: (bytes: Buffer) => void): Promise<Drain> {
  const opened = deferred();
  const ended = deferred();
  let answer: Answer | undefined = new Answer(peer, path);
  const fail = (error: unknown): void => {
    const reason = error instanceof CoatError ? error : peerLost(peer, error);
    opened.reject(reason);
    ended.reject(reason);
  };
  const socket = await dial({
    buffer: Buffer.allocUnsafe(BUFFER),
    callback(length, buffer) {
      let bytes = buffer.subarray(0, length);
      try {
        if (answer) {
          const rest = answer.take(bytes);
          if (!rest) return true;
          answer = undefined;
          opened.resolve();
          bytes = rest;
        }
        if (bytes.length > 0) take(bytes);
      } catch (error) {
        fail(error);
        socket.destroy();
      }
      return true;
    },
  });
  socket.once('error', fail);
  socket.once('end', () => {
    ended.resolve();
    socket.destroy();
  });
  socket.once('close', () => fail(new Error('the connection was closed')));
  socket.write([`GET ${path} HTTP/1.1`, `host: ${peer}`, ...Object.entries({ ...HEADERS.upgrade, ...headersTo(peer) }).map(([name, value]) => `${name}: ${value}`), '', ''].join('\r\n'));
  await opened.promise;
  return { ended: ended.promise, destroy: (error) => socket.destroy(error) };
}

interface Deferred {
  promise: Promise<void>;
  resolve(): void;
  reject(reason: unknown): void;
}

/** A promise that may fail before anybody waits for it. */
function deferred(): Deferred {
  let parts: Omit<Deferred, 'promise'> | undefined;
  const promise = new Promise<void>((resolve, reject) => (parts = { resolve, reject }));
  promise.catch(() => undefined);
  return { promise, ...parts! };
}

/** What the other side says before the bytes begin. */
class Answer {
  readonly #peer: string;
  readonly #path: string;
  #text = Buffer.alloc(0);

  constructor(peer: string, path: string) {
    this.#peer = peer;
    this.#path = path;
  }

  /** @returns what follows the answer; nothing while it has not come whole. @throws CoatError the refusal */
  take(bytes: Buffer): Buffer | undefined {
    this.#text = Buffer.concat([this.#text, bytes]);
    const end = this.#text.indexOf('\r\n\r\n');
    if (end < 0) {
      if (this.#text.length > HEAD_LIMIT) throw new CoatError('peer-answer', `host ${this.#peer} made no tunnel of ${this.#path}`);
      return undefined;
    }
    const [head, rest] = [this.#text.subarray(0, end).toString('latin1'), this.#text.subarray(end + 4)];
    if (/^HTTP\/1\.1 101 /.test(head)) return rest;
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    if (rest.length < Math.min(length, HEAD_LIMIT)) return undefined;
    throw errorFrom(rest.toString(), this.#peer);
  }
}
