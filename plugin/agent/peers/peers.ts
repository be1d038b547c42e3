import { type Membership, unknownHost } from '../membership.ts';
import type { Peer, Peers } from '../peer.ts';
import { PeerClient } from './client.ts';
import type { Security } from './tls.ts';

/** The other hosts' agents, as members come and go. */
export class PeerDirectory implements Peers {
  readonly #membership: Membership;
  readonly #make: (name: string, address: string) => PeerClient;
  readonly #clients = new Map<string, PeerClient>();

  constructor(membership: Membership, port: number, security: Security) {
    this.#membership = membership;
    this.#make = (name, address) => new PeerClient({ name, address }, port, security);
  }

  get(name: string): Peer {
    const member = this.#membership.find(name);
    if (member === undefined || name === this.#membership.me.name) throw unknownHost(name);
    const known = this.#clients.get(name);
    if (known?.address === member.address) return known;
    known?.close();
    const client = this.#make(name, member.address);
    this.#clients.set(name, client);
    return client;
  }

  others(): Peer[] {
    return this.#membership.all().filter(({ name }) => name !== this.#membership.me.name).map(({ name }) => this.get(name));
  }

  /** Ends the connections to hosts that are members no longer. */
  dropStrangers(): void {
    for (const [name, client] of this.#clients) {
      if (this.#membership.find(name)?.address === client.address) continue;
      client.close();
      this.#clients.delete(name);
    }
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }
}
