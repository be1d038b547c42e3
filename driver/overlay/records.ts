import { z } from 'zod';

/**
 * What the store holds. All hosts agree on these; everything in a kernel is computed from them.
 *
 *     hosts/<name>              Host
 *     networks/<key>            Network      key: the subnet, `10.42.0.0-24`
 *     claims/<key>/<ip>         Claim
 *     book                      see network/book.ts
 */
export const Host = z.object({
  name: z.string(),
  /** Underlay address: the host's VTEP, and where its agent listens. */
  address: z.string(),
  version: z.string().optional(),
  /** What it has routes to inside the pool of subnets, as CIDRs; see ipam/choose.ts. */
  routes: z.array(z.string()).optional(),
  /** What the host proves its name with: SHA-256 of its public key, hex. Absent where the settings name the hosts. */
  key: z.string().optional(),
  /** Whether it keeps the store, or is about to; see the agent's etcd/members.ts. */
  store: z.enum(['entering', 'member']).optional(),
});
export type Host = z.infer<typeof Host>;

export const Network = z.object({
  key: z.string(),
  /** CIDR, `10.42.0.0/24`. */
  subnet: z.string(),
  /** Gateway address without a prefix length; the same on every host. */
  gateway: z.string(),
  /** IPv6 beside IPv4: CIDR, `fd00:1::/64`. Absent where the network has none; the key is of IPv4 in any case. */
  subnet6: z.string().optional(),
  /** Present where `subnet6` is. */
  gateway6: z.string().optional(),
  /** VXLAN network identifier, RFC 7348: 24 bits. */
  vni: z.number().int().min(1).max(0xffffff),
  /** MTU inside the network, bytes: the smallest any host could offer when it was created. */
  mtu: z.number().int(),
  /** Docker's name for it, once an agent has learned it from its engine. */
  name: z.string().optional(),
  /** `-o` options, as given. */
  options: z.record(z.string(), z.string()),
  internal: z.boolean(),
  /** Addresses nobody may have (`--aux-address`), without prefix lengths. */
  reserved: z.array(z.string()).optional(),
  /** Counts the networks in the order in which they were made. */
  number: z.number().int().optional(),
  /** The host that asked for it first. */
  maker: z.string().optional(),
  /**
   * The host on which it was made without a subnet of the user's choice, of one family or both. Its engine, up to Docker 29.0, gives no container of this
   * network an address of one's choice; the engines of the others do, as they were told the subnet.
   */
  chosenOn: z.string().optional(),
  /**
   * Set by the first CreateNetwork. Before it there is only a subnet: Docker asks for the pool first
   * and may then give up, so nobody should repeat the network on other engines yet.
   */
  created: z.boolean().optional(),
});
export type Network = z.infer<typeof Network>;

/** A port of a container that is reached at a host, `docker run -p`. */
export const PublishedPort = z.object({
  proto: z.enum(['tcp', 'udp']),
  /** The container's. */
  port: z.number().int(),
  hostPort: z.number().int(),
  /** Address of the host, of the family in which the container is reached; absent for all IPv4 addresses, `::` for all of IPv6. */
  hostIp: z.string().optional(),
});
export type PublishedPort = z.infer<typeof PublishedPort>;

/**
 * Who may answer for an address. `host` owns it; while `redirect` is set, every host sends the
 * endpoint's frames there instead, where they are held. A claim with a higher `epoch` wins.
 */
export const Claim = z.object({
  network: z.string(),
  ip: z.string(),
  /** Absent between the lease of the address and the creation of the endpoint, and for an IPv6 address: that is the endpoint's second. */
  mac: z.string().optional(),
  /** The endpoint's IPv6 address, which has a claim of its own that only keeps it from others. */
  ip6: z.string().optional(),
  host: z.string(),
  epoch: z.number().int(),
  redirect: z.string().optional(),
  /** A host that may use the address besides its owner, because a container is on its way there. */
  movingTo: z.string().optional(),
  /** Leased in advance and not in use; see ipam/spares.ts. */
  spare: z.boolean().optional(),
  /** At which hosts ports of the container are reached, in the order in which they came: where it was started, then where it has moved to. */
  published: z.array(z.object({ host: z.string(), ports: z.array(PublishedPort) })).optional(),
  /** Name of the container, once known. For people; nothing is decided by it. */
  container: z.string().optional(),
  /** What other containers of the network find it by: its name and aliases, the main one first. The agent learns them from its engine. */
  names: z.array(z.string()).optional(),
});
export type Claim = z.infer<typeof Claim>;

export const hostKey = (name: string): string => `hosts/${name}`;
export const networkKey = (subnet: string): string => subnet.replace('/', '-');
export const networkPath = (key: string): string => `networks/${key}`;
export const claimPath = (key: string, ip: string): string => `claims/${key}/${ip}`;

/** All addresses of an endpoint, each of which has a claim. */
export const addressesOf = ({ ip, ip6 }: { ip: string; ip6?: string | undefined }): string[] => (ip6 === undefined ? [ip] : [ip, ip6]);

/** Where an endpoint's frames go now: the name of a host. */
export const targetOf = (claim: Claim): string => claim.redirect ?? claim.host;
