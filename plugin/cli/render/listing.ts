import type { Listing } from '../../agent/api.ts';
import { table } from './table.ts';

/** Hosts, networks, and who is where. */
export function listingText({ hosts, networks, endpoints }: Listing): string {
  return [
    table(['HOST', 'ADDRESS'], hosts.map(({ name, address }) => [name, address])),
    table(
      ['NETWORK', 'SUBNET', 'GATEWAY', 'VNI', 'MTU'],
      networks.map(({ name, subnet, gateway, vni, mtu }) => [name ?? '-', subnet, gateway, String(vni), String(mtu)]),
    ),
    table(
      ['CONTAINER', 'NETWORK', 'IP', 'MAC', 'HOST'],
      endpoints.map(({ container, network, ip, mac, host, movingTo }) =>
        [container ?? '-', network, ip, mac ?? '-', movingTo === undefined ? host : `${host} (moving to ${movingTo})`]),
    ),
  ].join('\n');
}
