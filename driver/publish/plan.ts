import { mayRelease } from '../overlay/claims.ts';
import { targetOf, type Claim, type Host, type Network, type PublishedPort } from '../overlay/records.ts';
import { familyOfPort, portKey, portsAt } from './ports.ts';

/** A port of this host that leads to a container, wherever that is. */
export interface Mapping {
  network: Network;
  /** `<network key>/<ip>` of the container. */
  owner: string;
  /** The container's address, of the port's family. */
  ip: string;
  port: PublishedPort;
}

/** What a container sends from a published port, and this host knows no connection of its own for. */
export interface Return {
  network: Network;
  /** The container's address. */
  ip: string;
  proto: PublishedPort['proto'];
  /** The container's. */
  port: number;
  /** The hosts at which the connection may have come in; with none it goes nowhere. */
  to: Host[];
}

export interface Publications {
  mappings: Mapping[];
  returns: Return[];
}

export const NOTHING_PUBLISHED: Publications = { mappings: [], returns: [] };

/** An endpoint of this host, as far as its ports are concerned. */
export interface Publisher {
  key: string;
  ip: string;
  ip6?: string | undefined;
  joined: boolean;
  cut: boolean;
  published?: PublishedPort[] | undefined;
}

interface Records {
  hosts: ReadonlyMap<string, Host>;
  networks: ReadonlyMap<string, Network>;
  claims: ReadonlyMap<string, Claim>;
}

/**
 * What this host publishes, and where the answers of its containers go.
 *
 * A connection from outside belongs to the host at which it came in: that host has changed its destination and must change
 * the answers. The container's host has none of this for connections that came in elsewhere. It cannot tell at which host
 * one did, so it sends such an answer to all that publish the port; the one that knows the connection takes it.
 */
export function publications({ hosts, networks, claims }: Records, endpoints: readonly Publisher[], self: string): Publications {
  const local = new Map(endpoints.filter(({ joined }) => joined).map((endpoint) => [`${endpoint.key}/${endpoint.ip}`, endpoint]));
  const mappings = new Map<string, Mapping>();
  const returns: Return[] = [];
  const map = (network: Network, addresses: Addresses, ports: readonly PublishedPort[]): void => {
    for (const port of ports) {
      const ip = addressFor(port, addresses);
      if (ip !== undefined) mappings.set(portKey(port), { network, owner: `${network.key}/${addresses.ip}`, ip, port });
    }
  };
  // an address that is ours has its container here, and that one's record says it sooner than the store
  for (const claim of claims.values()) {
    const network = networks.get(claim.network);
    if (!claim.published || !network || network.internal) continue;
    if (!mayRelease(claim, self)) map(network, claim, portsAt(claim, self));
    returns.push(...returnsOf(claim, claim.published, network, hosts, self, local.get(`${claim.network}/${claim.ip}`)));
  }
  for (const endpoint of local.values()) {
    const network = networks.get(endpoint.key);
    if (endpoint.published && network && !network.internal) map(network, endpoint, endpoint.published);
  }
  return { mappings: [...mappings.values()], returns };
}

interface Addresses {
  ip: string;
  ip6?: string | undefined;
}

/** A connection keeps its family all the way. */
const addressFor = (port: PublishedPort, { ip, ip6 }: Addresses): string | undefined => (familyOfPort(port) === 6 ? ip6 : ip);

function returnsOf(claim: Claim, published: NonNullable<Claim['published']>, network: Network, hosts: ReadonlyMap<string, Host>, self: string, endpoint: Publisher | undefined): Return[] {
  const here = targetOf(claim) === self || (endpoint !== undefined && !endpoint.cut);
  const home = here ? self : targetOf(claim);
  const others = published.map(({ host }) => hosts.get(host)).filter((host) => host !== undefined && host.name !== home) as Host[];
  if (others.length === 0 || (!here && !others.some(({ name }) => name === self))) return [];
  const sources = published.flatMap((entry) => entry.ports).flatMap((port) => {
    const ip = addressFor(port, claim);
    return ip === undefined ? [] : [[`${port.proto} ${ip} ${port.port}`, { ip, proto: port.proto, port: port.port }] as const];
  });
  const found = [...new Map(sources).values()].map((source): Return => ({ network, ...source, to: here ? others : [] }));
  // a datagram that nobody was asked for leaves by the only other host; of several each would say it is another's
  return here || others.length > 1 ? found : found.filter(({ proto }) => proto === 'tcp');
}

/** Whether what is published may have changed with these claims. @param before them as they were */
export function concernsPorts(before: ReadonlyMap<string, Claim | undefined>, claims: Records['claims'], endpoints: readonly Publisher[]): boolean {
  for (const [key, claim] of before) if (claim?.published ?? claims.get(key)?.published) return true;
  return endpoints.some(({ key, ip, published }) => published !== undefined && before.has(`${key}/${ip}`));
}
