import type { Listing, PublishedAt } from '../../agent/api.ts';
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
      ['CONTAINER', 'NETWORK', 'IP', 'MAC', 'HOST', 'PORTS'],
      endpoints.map(({ container, network, ip, ip6, mac, host, movingTo, ports = [] }) =>
        [container ?? '-', network, both(ip, ip6), mac ?? '-', movingTo === undefined ? host : `${host} (moving to ${movingTo})`, ports.map(portText).join(', ') || '-']),
    ),
  ].join('\n');
}

/** What there is in IPv4, and what there may be beside it in IPv6. */
const both = (four: string, six: string | undefined): string => (six === undefined ? four : `${four} ${six}`);

/** As `docker ps` writes it, with a host in the place of an address that means all of its addresses. */
const portText = ({ host, hostIp, hostPort, proto, port }: PublishedAt): string => `${host}${hostIp === undefined ? '' : hostIp.includes(':') ? ` [${hostIp}]` : ` ${hostIp}`}:${hostPort}->${port}/${proto}`;
