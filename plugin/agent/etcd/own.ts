import { rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { CoatError, explain } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import type { Membership } from '../membership.ts';
import type { PeerRoutes, Peers } from '../peer.ts';
import { EtcdChild } from './child.ts';
import { EtcdClient } from './client.ts';
import { healthy } from './gateway.ts';
import { Guard } from './guard.ts';
import { listMembers, peerSocket } from './members.ts';
import { couple, Relays } from './relays.ts';
import { connectTo } from './socket.ts';

/** Path of the tunnel to the etcd of a host, for its clients; and for the other members. */
export const CLIENTS = '/v1/store';
const MEMBERS = '/v1/raft';

export interface OwnEtcdOptions {
  membership: Membership;
  peers: Pick<Peers, 'get'>;
  data: string;
  sockets: string;
  log: Log;
}

/** The etcd of this host, where it is a member, with the ways to and from it. */
export class OwnEtcd {
  readonly #options: OwnEtcdOptions;
  readonly #child: EtcdChild;
  readonly #relays: Relays;
  /** For questions about the members alone: it must not go over to another one. */
  readonly client: EtcdClient;
  #runs = false;
  #joining: readonly string[] = [];
  readonly #clients = new Set<Duplex>();
  /** Those that lead to etcd past the guard, with the hosts they are from. */
  readonly #unguarded = new Map<Duplex, string>();
  readonly #guard: Guard;

  constructor(options: OwnEtcdOptions) {
    const { membership, peers, data, sockets, log } = options;
    this.#options = options;
    this.#child = new EtcdChild({ name: membership.me.name, data, sockets, log });
    this.#relays = new Relays({ directory: sockets, open: (host) => peers.get(host).tunnel(MEMBERS), log });
    this.#guard = new Guard({ socketPath: this.#child.socket, find: (name) => membership.find(name) });
    this.client = new EtcdClient(() => this.connect());
  }

  /** Whether this host is to have one, which then is started again whenever it ends. */
  get runs(): boolean {
    return this.#runs;
  }

  /** Whether it answers, and knows a majority behind it. */
  well(): Promise<boolean> {
    return this.#runs ? healthy(this.#child.socket) : Promise.resolve(false);
  }

  /** Whether there is anything of a member on the disk. */
  hasData(): Promise<boolean> {
    return stat(join(this.#options.data, 'member', 'wal')).then(() => true, () => false);
  }

  connect(): Promise<Duplex> {
    return connectTo(this.#child.socket);
  }

  /** See {@link EtcdChild.start}; nothing where it runs. */
  async start(joining?: readonly string[]): Promise<void> {
    this.#joining = joining ?? [];
    if (this.#runs) return;
    this.#runs = true;
    const started = this.#child.start(joining);
    await this.follow();
    await started;
  }

  /** To be called when hosts have come or gone. */
  async follow(): Promise<void> {
    const { membership, log } = this.#options;
    if (!this.#runs) return;
    for (const [stream, from] of this.#unguarded) if (membership.find(from)?.store === undefined) stream.destroy();
    const others = membership.all().map(({ name }) => name).filter((name) => name !== membership.me.name);
    await this.#relays.follow(others).catch((error: unknown) => log.error({ reason: explain(error) }, 'the ways to the etcd of other hosts are not complete'));
  }

  async stop(): Promise<void> {
    this.#runs = false;
    this.client.close();
    this.#guard.close();
    // etcd would wait for them before it ends
    for (const stream of this.#clients) stream.destroy();
    await this.#child.stop();
    await this.#relays.close();
  }

  /** Stops it, and removes everything it knows. */
  async wipe(): Promise<void> {
    await this.stop();
    await rm(this.#options.data, { recursive: true, force: true });
  }

  /** Lets other hosts reach it: all of them as clients, and the other members as such. */
  offer(routes: PeerRoutes): void {
    const { sockets, membership, log } = this.#options;
    routes.tunnel(CLIENTS, (stream, _query, from) => {
      if (!this.#runs) return void stream.destroy();
      this.#clients.add(stream.once('close', () => this.#clients.delete(stream)));
      // a host that keeps the store too could ask its own
      if (membership.find(from)?.store !== undefined) {
        this.#unguarded.set(stream.once('close', () => this.#unguarded.delete(stream)), from);
        passOn(stream, this.#child.socket);
      } else this.#guard.take(stream, from);
    });
    routes.tunnel(MEMBERS, (stream, _query, from) => {
      this.#isMember(from).then((is) => {
        if (!is) throw new CoatError('not-a-member', `host ${from} does not keep the store`);
        passOn(stream, join(sockets, peerSocket(membership.me.name)));
      }).catch((error: unknown) => {
        log.debug({ reason: explain(error), from }, 'refused another etcd');
        stream.destroy();
      });
    });
  }

  /** By the records, which are there without a majority too; and by etcd's own list, which knows one that is just coming. */
  async #isMember(host: string): Promise<boolean> {
    if (!this.#runs) return false;
    if (this.#options.membership.find(host)?.store !== undefined || this.#joining.includes(host)) return true;
    return (await listMembers(this.client)).some((member) => member.host === host);
  }
}

function passOn(stream: Duplex, socket: string): void {
  couple(stream, connect({ path: socket, allowHalfOpen: true }));
}
