import type { Listing } from '../../agent/api.ts';
import { table } from './table.ts';

/** Hosts, networks, and who is where. */
export function listingText({ hosts, networks, endpoints }: Listing): string {
  return [
    table(['HOST', 'ADDRESS', 'STORE'], hosts.map(({ name, address, store }) => [name, address, store ?? '-'])),
    table(
      ['NETWORK', 'SUBNET', 'GATEWAY', 'VNI', 'MTU'],
      networks.map(({ name, subnet, subnet6, gateway, gateway6, vni, mtu }) => [name ?? '-', both(subnet, subnet6), both(gateway, gateway6), String(vni), String(mtu)]),
    ),
    table(
      ['CONTAINER', 'NETWORK', 'IP', 'MAC', 'HOST'],
      endpoints.map(({ container, network, ip, ip6, mac, host, movingTo }) =>
        [container ?? '-', network, both(ip, ip6), mac ?? '-', movingTo === undefined ? host : `${host} (moving to ${movingTo})`]),
    ),
  ].join('\n');
}

/** What there is in IPv4, and what there may be beside it in IPv6. */
const both = (four: string, six: string | undefined): string => (six === undefined ? four : `${four} ${six}`);
