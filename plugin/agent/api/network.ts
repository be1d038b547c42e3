import { z } from 'zod';
import { StorePart } from './host.ts';

/** A port of a container that is reached at a host. */
export const PublishedAt = z.object({
  host: z.string(),
  hostIp: z.string().exactOptional().describe('address of that host; absent for all IPv4 addresses, `::` for all of IPv6'),
  hostPort: z.number(),
  proto: z.enum(['tcp', 'udp']),
  port: z.number().describe("the container's"),
}).meta({ id: 'PublishedAt' });
export type PublishedAt = z.infer<typeof PublishedAt>;

const address = {
  ip: z.string(),
  ip6: z.string().exactOptional(),
  mac: z.string().exactOptional(),
  host: z.string(),
  container: z.string().exactOptional(),
  movingTo: z.string().exactOptional(),
  ports: z.array(PublishedAt).exactOptional(),
};
const network = {
  name: z.string().exactOptional(),
  subnet: z.string(),
  gateway: z.string(),
  subnet6: z.string().exactOptional(),
  gateway6: z.string().exactOptional(),
  vni: z.number(),
  mtu: z.number(),
};

export const Listing = z.object({
  hosts: z.array(z.object({ name: z.string(), address: z.string(), store: StorePart.exactOptional() })),
  networks: z.array(z.object(network)),
  endpoints: z.array(z.object({ network: z.string(), ...address })),
}).meta({ id: 'Listing' });
export type Listing = z.infer<typeof Listing>;

/** All that is known of a network, and who is on it. */
export const NetworkDetails = z.object({
  ...network,
  internal: z.boolean(),
  options: z.record(z.string(), z.string()).describe('as given with -o'),
  reserved: z.array(z.string()).describe('addresses nobody may have'),
  maker: z.string().exactOptional().describe('the host on which it was made'),
  endpoints: z.array(z.object({ ...address, names: z.array(z.string()).describe('what other containers of the network find it by') })),
}).meta({ id: 'NetworkDetails' });
export type NetworkDetails = z.infer<typeof NetworkDetails>;

/** What a person asks for; the rest is chosen. */
export const NewNetwork = z.strictObject({
  name: z.string().min(1),
  subnets: z.array(z.string()).max(2).describe('one of a family'),
  gateways: z.array(z.string()).max(2),
  ipv6: z.boolean(),
  internal: z.boolean(),
  options: z.record(z.string(), z.string()).describe('as given with -o'),
}).meta({ id: 'NewNetwork' });
export type NewNetwork = z.infer<typeof NewNetwork>;

export const NetworkName = z.strictObject({ name: z.string().min(1).describe('its name or subnet') });

export const MadeNetwork = z.object({ id: z.string().describe("the engine's") });
