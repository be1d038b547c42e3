import { join } from 'node:path';
import { z } from 'zod';
import type { Log } from '../host/log.ts';
import { netnsPath } from '../kernel/netns.ts';
import type { Asker } from '../names/responders.ts';
import { addressesOf, Network, PublishedPort } from '../overlay/records.ts';
import type { Attachment } from '../overlay/plan.ts';
import { LocalRecords } from '../store/local.ts';

/** A network of this host's engine. Every engine has an id of its own for the same network. */
export const LocalNetwork = z.object({
  /** Docker's NetworkID. */
  id: z.string(),
  /** As it was when it was created here; the replica may know better. */
  network: Network,
});
export type LocalNetwork = z.infer<typeof LocalNetwork>;

const Plumbed = z.object({
  id: z.string(),
  /** Key of the network. */
  key: z.string(),
  ip: z.string(),
  /** On a network that has IPv6. */
  ip6: z.string().optional(),
  mac: z.string(),
  /** Middle of the port's name, overlay/names.ts. */
  link: z.string(),
  held: z.boolean(),
  cut: z.boolean(),
  /** Whether it takes frames ahead of its claim, see overlay/plan.ts. */
  accepting: z.boolean().default(false),
});

/** An endpoint as Docker knows it; `id` is its EndpointID. */
export const Endpoint = Plumbed.extend({
  networkId: z.string(),
  /** Between Join and the deletion: its port may exist. */
  joined: z.boolean(),
  /** Name of the namespace it was plumbed in before Docker asked for it. */
  netns: z.string().optional(),
  /** Where Docker keeps its container's namespace: a path on the host. Known from Join on. */
  sandbox: z.string().optional(),
  /** What of its container is published at this host. */
  published: z.array(PublishedPort).optional(),
});
export type Endpoint = z.infer<typeof Endpoint>;

/** An endpoint plumbed before Docker asks for it. */
export const Arrival = Plumbed.extend({
  network: Network,
  netns: z.string(),
  /** Whether its hold is closed, so that it may be connected. */
  ready: z.boolean(),
});
export type Arrival = z.infer<typeof Arrival>;

/** Of an arrival, by its IPv4 address. */
export const arrivalId = (key: string, ip: string): string => `${key}_${ip}`;

/** All that this host remembers for itself, on disk. */
export class LocalState {
  readonly networks: LocalRecords<LocalNetwork>;
  readonly endpoints: LocalRecords<Endpoint>;
  readonly arrivals: LocalRecords<Arrival>;

  constructor(stateDir: string) {
    this.networks = new LocalRecords(join(stateDir, 'networks'), LocalNetwork);
    this.endpoints = new LocalRecords(join(stateDir, 'endpoints'), Endpoint);
    this.arrivals = new LocalRecords(join(stateDir, 'arrivals'), Arrival);
  }

  async load(log: Log): Promise<void> {
    await Promise.all([this.networks.load(log), this.endpoints.load(log), this.arrivals.load(log)]);
    // a crash between "the endpoint has it" and "the arrival is over"
    for (const { id, link } of this.arrivals.values()) {
      if (this.endpoints.find((endpoint) => endpoint.link === link)) await this.arrivals.delete(id);
    }
  }

  /** @param ip either of its addresses */
  endpointAt(key: string, ip: string): Endpoint | undefined {
    return this.endpoints.find((endpoint) => endpoint.key === key && addressesOf(endpoint).includes(ip));
  }

  /** @param ip either of its addresses */
  arrivalAt(key: string, ip: string): Arrival | undefined {
    return this.arrivals.find((arrival) => arrival.key === key && addressesOf(arrival).includes(ip));
  }

  /** The containers of this host that may ask for names. */
  askers(hostRoot: string): Asker[] {
    const endpoints = this.endpoints.values().filter(({ joined }) => joined);
    const sandbox = (path: string | undefined): string[] => (path === undefined ? [] : [hostRoot + path]);
    const netns = (name: string | undefined): string[] => (name === undefined ? [] : [hostRoot + netnsPath(name)]);
    return [
      ...endpoints.map((endpoint) => ({ network: endpoint.key, netns: [...sandbox(endpoint.sandbox), ...netns(endpoint.netns)] })),
      ...this.arrivals.values().filter(({ ready }) => ready).map((arrival) => ({ network: arrival.key, netns: netns(arrival.netns) })),
    ];
  }

  /** What plan() has to know about this host. */
  attachments(networks: ReadonlyMap<string, Network>): Attachment[] {
    const found: Attachment[] = [];
    for (const endpoint of this.endpoints.values()) {
      const network = networks.get(endpoint.key) ?? this.networks.get(endpoint.networkId)?.network;
      if (endpoint.joined && network) found.push({ ...endpoint, network, attached: true });
    }
    for (const arrival of this.arrivals.values()) {
      // one that was adopted meanwhile is an endpoint now
      if (this.endpoints.find(({ link }) => link === arrival.link)) continue;
      found.push({ ...arrival, network: networks.get(arrival.key) ?? arrival.network, attached: arrival.ready });
    }
    return found;
  }
}
