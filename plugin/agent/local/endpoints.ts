import type { Claim, Host, Network } from '../../../driver/overlay/records.ts';
import type { Listing, NetworkDetails, PublishedAt } from '../api.ts';

/** What the agent knows of the cluster; the driver's replica has it. */
export interface Known {
  hosts: ReadonlyMap<string, Host>;
  networks: ReadonlyMap<string, Network>;
  claims: ReadonlyMap<string, Claim>;
}

/** All hosts, networks and endpoints, in an order that stays the same. */
export function listing({ hosts, networks, claims }: Known): Listing {
  return {
    hosts: [...hosts.values()].map(({ name, address, store }) => ({ name, address, ...(store && { store }) })).sort(by('name')),
    networks: [...networks.values()]
      .map(({ name, subnet, gateway, subnet6, gateway6, vni, mtu }) => defined<Listing['networks'][number]>({ name, subnet, gateway, subnet6, gateway6, vni, mtu }))
      .sort(by('subnet')),
    endpoints: inUse(claims)
      .map((claim) => ({ ...endpointOf(claim), network: networks.get(claim.network)?.name ?? claim.network }))
      .sort((a, b) => compare(a.network, b.network) || compare(a.ip, b.ip)),
  };
}

/** The same networks, each with all that is known of it. */
export function networkDetails({ networks, claims }: Known): NetworkDetails[] {
  const used = inUse(claims);
  return [...networks.values()]
    .map(({ key, name, subnet, gateway, subnet6, gateway6, vni, mtu, internal, options, reserved = [], maker }) => ({
      ...defined<Omit<NetworkDetails, 'endpoints'>>({ name, subnet, gateway, subnet6, gateway6, vni, mtu, internal, options, reserved, maker }),
      endpoints: used
        .filter(({ network }) => network === key)
        .map((claim) => ({ ...endpointOf(claim), names: claim.names ?? [] }))
        .sort(by('ip')),
    }))
    .sort(by('subnet'));
}

/** An address without a MAC is only lent, not yet used. */
const inUse = (claims: Known['claims']): Claim[] => [...claims.values()].filter(({ mac }) => mac !== undefined);

function endpointOf({ ip, ip6, mac, host, container, movingTo, published }: Claim): Omit<Listing['endpoints'][number], 'network'> {
  const ports = published?.flatMap((entry) => entry.ports.map((port) => defined<PublishedAt>({ host: entry.host, hostIp: undefined, ...port })));
  return defined({ ip, ip6, host, mac, container, movingTo, ports });
}

/** What there is of a record. */
const defined = <T extends object>(all: { [K in keyof T]: T[K] | undefined }): T => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as T;

const collator = new Intl.Collator('en', { numeric: true });
const compare = (a: string, b: string): number => collator.compare(a, b);
const by = <K extends string>(key: K) => (a: Record<K, string>, b: Record<K, string>): number => compare(a[key], b[key]);
