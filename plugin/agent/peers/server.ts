import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { codeOf, CoatError, explain } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import { operate } from '../../../driver/host/operation.ts';
import { noSuchRoute, type RouteTable } from './routes.ts';
import { problemOf, statusOf } from './problem.ts';
import type { Security } from './tls.ts';
import { CHUNK, HEADERS, KIND, OPERATION, TO } from './wire.ts';

/** A call's body is a small record; a large one is a mistake. Bytes. */
const BODY_LIMIT = 16 << 20;
/** The same for somebody nobody knows. */
const GUEST_BODY_LIMIT = 16 << 10;
/** A connection of somebody nobody knows ends when it has been quiet for this long, ms. */
const GUEST_MS = 30_000;

export interface PeerServerOptions {
  me: string;
  security: Security;
  routes: RouteTable;
  log: Log;
}

/** The TCP port other agents connect to. HTTP/1.1 inside TLS; nothing but guest calls is answered before the peer has proved who it is. */
export class PeerServer {
  readonly #options: PeerServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();
  /** Those of members, at the time they connected. */
  readonly #members = new Set<TLSSocket>();
  #closed = false;

  constructor(options: PeerServerOptions) {
    this.#options = options;
    this.#server = createServer({
      ...options.security.server(),
      allowHalfOpen: true,
      highWaterMark: CHUNK,
      noDelay: true,
      // an upload takes as long as it takes; connections live until the peer closes them
      requestTimeout: 0,
      keepAliveTimeout: 600_000,
      handshakeTimeout: 5_000,
    } as Parameters<typeof createServer>[0]);
    this.#server.on('secureConnection', (socket) => {
      this.#sockets.add(socket);
      // a peer that lost its power sends no end
      socket.setKeepAlive(true, 5_000);
      if (options.security.nameOf(socket) !== undefined) this.#members.add(socket);
      else socket.setTimeout(GUEST_MS, () => socket.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        this.#members.delete(socket);
      });
    });
    this.#server.on('tlsClientError', (error, socket) => {
      options.log.warn({ address: socket.remoteAddress, why: error.message }, 'refused a connection: wrong secret, or not a host of this cluster');
    });
    this.#server.on('request', (request, response) => void operate(() => this.#answer(request, response), operationOf(request)));
    this.#server.on('upgrade', (request, socket, head) => operate(() => this.#tunnel(request, socket as TLSSocket, head), operationOf(request)));
  }

  /** Port the server listens on, once it does. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /**
   * Resolves when the server listens. What stands in the way is said once and tried until it is gone: the
   * address may come later while the host starts, and a port may be given free.
   */
  async listen(address: string, port: number): Promise<void> {
    for (let told = false; !this.#closed; told = true) {
      const error = await this.#tryListen(address, port);
      if (error === undefined) return;
      const why = codeOf(error) === 'EADDRINUSE' ? 'something else listens there; COAT_PORT must be a free TCP port, the same on all hosts' : explain(error);
      if (!told) this.#options.log.warn({ address, port, why }, 'cannot listen for other hosts yet');
      await sleep(500);
    }
  }

  /** Ends the connections of hosts that are members no longer, whatever goes on in them. */
  dropStrangers(): void {
    for (const socket of this.#members) if (this.#options.security.nameOf(socket) === undefined) socket.destroy();
  }

  /** Shows a new certificate from now on. Connections there are stay. */
  renew(): void {
    this.#server.setSecureContext(this.#options.security.server());
  }

  async close(): Promise<void> {
    this.#closed = true;
    const ended = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await ended;
  }

  #tryListen(address: string, port: number): Promise<Error | undefined> {
    return new Promise((resolve) => {
      const failed = (error: Error): void => resolve(error);
      this.#server.once('error', failed);
      this.#server.listen(port, address, () => {
        this.#server.off('error', failed);
        // closed while it was about to listen
        if (this.#closed) this.#server.close();
        resolve(undefined);
      });
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const started = performance.now();
    try {
      const guest = this.#options.routes.find('guest', request.url ?? '');
      const answer = guest === undefined ? await this.#dispatch(request) : await guest(await jsonOf(request, GUEST_BODY_LIMIT));
      respond(response, 200, answer ?? null);
      this.#options.log.debug({ path: request.url, ms: Math.round(performance.now() - started) }, 'answered a peer');
    } catch (error) {
      this.#options.log.debug({ err: error, path: request.url }, 'a peer is told of an error');
      respond(response, statusOf(error), problemOf(error));
      // the rest of an upload is taken in and dropped until the peer has read the answer and hangs up:
      // closing with bytes unread would make the kernel throw the answer away (RFC 2525, 2.17)
      request.resume();
    }
  }

  async #dispatch(request: IncomingMessage): Promise<unknown> {
    const { from, url } = this.#check(request);
    const { routes } = this.#options;
    if (request.headers[KIND] === 'upload') {
      const upload = routes.find('upload', url.pathname);
      if (upload) return upload(request, url.searchParams, from);
    } else {
      const call = routes.find('call', url.pathname);
      if (call) return call(await jsonOf(request, BODY_LIMIT), from);
    }
    throw noSuchRoute(url.pathname);
  }

  #tunnel(request: IncomingMessage, socket: TLSSocket, head: Buffer): void {
    socket.on('error', (error) => this.#options.log.debug({ err: error, path: request.url }, 'a tunnel broke'));
    try {
      const { from, url } = this.#check(request);
      const handler = this.#options.routes.find('tunnel', url.pathname);
      if (!handler) throw noSuchRoute(url.pathname);
      if (head.length > 0) socket.unshift(head);
      socket.write(HEADERS.switching);
      handler(socket, url.searchParams, from);
    } catch (error) {
      const body = JSON.stringify(problemOf(error));
      socket.end(`HTTP/1.1 ${statusOf(error)} No\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`);
    }
  }

  /** Who asks, and whether it means this host: an address given to the wrong host would mislead everything that follows. */
  #check(request: IncomingMessage): { from: string; url: URL } {
    const from = this.#options.security.nameOf(request.socket as TLSSocket);
    if (from === undefined) {
      throw new CoatError('not-a-member', `host ${this.#options.me} does not take this one for a host of its cluster`, {
        hint: 'it was removed, its certificate is not good any more, or its clock is wrong; to begin anew: docker coat leave --force, and join',
      });
    }
    const to = request.headers[TO];
    if (to !== this.#options.me) {
      throw new CoatError('wrong-host', `this is host ${this.#options.me}, not ${to}`, { hint: 'compare the addresses that docker coat status shows on both hosts' });
    }
    return { from, url: new URL(request.url ?? '/', 'coat://agent') };
  }
}

const operationOf = ({ headers }: IncomingMessage): string | undefined => [headers[OPERATION]].flat()[0];

async function jsonOf(request: IncomingMessage, limit: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += (chunk as Buffer).length;
    if (length > limit) throw new CoatError('too-large', `a call may carry at most ${limit} bytes`);
    chunks.push(chunk as Buffer);
  }
  return length === 0 ? undefined : (JSON.parse(Buffer.concat(chunks).toString()) as unknown);
}

function respond(response: ServerResponse, status: number, body: unknown): void {
  if (response.destroyed) return;
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text);
}
