import { Agent } from 'node:http';
import type { Duplex } from 'node:stream';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { Member } from '../membership.ts';
import { peerAway } from './errors.ts';
import type { Security } from './tls.ts';

/** TCP and TLS together must be done within this, ms. */
const CONNECT_MS = 3_000;
/** An unused connection is given up long before the other side would do so, so that none is used while it is being closed; ms. */
const IDLE_MS = 20_000;

/** Where a connection's bytes go instead of into a stream; net.createConnection has it as `onread`. */
export interface OnRead {
  buffer: Buffer;
  /** Gets the buffer and how much of it is new. */
  callback(length: number, buffer: Buffer): boolean;
}

/**
 * Connects to a peer and proves membership.
 *
 * @param halfOpen whether the connection stays open for writing when the peer has ended its half
 * @throws CoatError `peer-away` within {@link CONNECT_MS}
 */
export function dial(member: Member, port: number, security: Security, halfOpen: boolean, onread?: OnRead): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const options: ConnectionOptions & { allowHalfOpen: boolean } = { ...security.client(member), host: member.address, port, allowHalfOpen: halfOpen, ...(onread && { onread }) };
    const socket = connect(options);
    const timer = setTimeout(() => socket.destroy(new Error(`no connection within ${CONNECT_MS} ms`)), CONNECT_MS);
    const failed = (error: Error): void => {
      clearTimeout(timer);
      reject(peerAway(member.name, error));
    };
    socket.once('error', failed);
    socket.once('close', () => failed(new Error('the connection was closed')));
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      socket.off('error', failed);
      socket.setNoDelay(true);
      resolve(socket);
    });
  });
}

/** Keeps connections to one peer for the next call. */
export class PeerPool extends Agent {
  readonly #dial: () => Promise<Duplex>;

  constructor(dialer: () => Promise<Duplex>) {
    super({ keepAlive: true, timeout: IDLE_MS, scheduling: 'lifo' });
    this.#dial = dialer;
  }

  override createConnection(_options: unknown, done?: (error: Error | null, stream: Duplex) => void): undefined {
    this.#dial().then(
      (stream) => done?.(null, stream),
      (error: unknown) => done?.(error as Error, undefined as unknown as Duplex),
    );
  }
}
