import { rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { explain } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import { Queue } from '../../../driver/host/queue.ts';
import { peerSocket } from './members.ts';

export interface RelayOptions {
  /** Where etcd looks for the sockets of the others. */
  directory: string;
  /** A connection to the etcd of another host. */
  open: (host: string) => Promise<Duplex>;
  log: Log;
}

/**
 * For each other host a unix socket that leads to its etcd, through both agents and their mutual TLS: etcd itself neither
 * listens on a network nor connects over one, and whoever is shut out of the cluster is shut out of its store.
 */
export class Relays {
  readonly #options: RelayOptions;
  readonly #servers = new Map<string, Server>();
  readonly #sockets = new Set<Duplex>();
  readonly #changes = new Queue();

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  /** Has a socket for each of these hosts, and for no others. */
  follow(hosts: readonly string[]): Promise<void> {
    return this.#changes.run(async () => {
      for (const [host, server] of this.#servers) if (!hosts.includes(host)) this.#end(host, server);
      for (const host of hosts) if (!this.#servers.has(host)) await this.#begin(host);
    });
  }

  async close(): Promise<void> {
    await this.follow([]);
    for (const socket of this.#sockets) socket.destroy();
  }

  async #begin(host: string): Promise<void> {
    const { directory, log } = this.#options;
    const path = join(directory, peerSocket(host));
    await rm(path, { force: true });
    const server = createServer({ allowHalfOpen: true }, (socket) => void this.#relay(host, socket));
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve));
    server.on('error', (error) => log.warn({ reason: explain(error), host }, 'the way to the etcd of another host is broken'));
    this.#servers.set(host, server);
  }

  #end(host: string, server: Server): void {
    this.#servers.delete(host);
    server.close();
  }

  async #relay(host: string, socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket)).on('error', () => undefined);
    try {
      couple(socket, await this.#options.open(host));
    } catch (error) {
      this.#options.log.debug({ reason: explain(error), host }, 'no way to the etcd of another host now');
      socket.destroy();
    }
  }
}

/** What comes out of either end goes into the other; either side breaking ends both, so whoever waits at the far end sees it. */
export function couple(one: Duplex, other: Duplex): void {
  one.pipe(other).pipe(one);
  for (const [side, far] of [[one, other], [other, one]] as const) {
    side.on('error', () => far.destroy());
    side.on('close', () => far.destroy());
    if (side.destroyed) far.destroy();
  }
}
