import type { NetworkDetails } from '../../agent/api.ts';
import { sheet, table } from './table.ts';

/** A line for each network. */
export function networksText(networks: readonly NetworkDetails[]): string {
  const rows = networks.map(({ name, subnet, gateway, vni, mtu, internal, endpoints }) =>
    [name ?? '-', subnet, internal ? '-' : gateway, String(vni), String(mtu), internal ? 'yes' : 'no', String(endpoints.length)]);
  return table(['NETWORK', 'SUBNET', 'GATEWAY', 'VNI', 'MTU', 'INTERNAL', 'CONTAINERS'], rows);
}

/** One network, and who is on it. */
export function networkText(network: NetworkDetails): string {
  const options = Object.entries(network.options).map(([key, value]) => `${key}=${value}`);
  const about = sheet([
    ['Name', network.name ?? '-'],
    ['Subnet', network.subnet],
    ['Gateway', network.internal ? 'none' : network.gateway],
    ...(network.subnet6 === undefined ? [] : [['IPv6 subnet', network.subnet6], ['IPv6 gateway', network.internal ? 'none' : (network.gateway6 ?? '-')]] satisfies [string, string][]),
    ['VNI', String(network.vni)],
    ['MTU', String(network.mtu)],
    ['Internal', network.internal ? 'yes' : 'no'],
    ['Options', options.join(', ') || '-'],
    ['Reserved', network.reserved.join(', ') || '-'],
    ['Made on', network.maker ?? '-'],
  ]);
  if (network.endpoints.length === 0) return about;
  return `${about}\n${table(
    ['CONTAINER', 'IP', 'MAC', 'HOST', 'NAMES'],
    network.endpoints.map(({ container, ip, ip6, mac, host, movingTo, names }) => [container ?? '-', ip6 === undefined ? ip : `${ip}, ${ip6}`, mac ?? '-', movingTo === undefined ? host : `${host} (moving to ${movingTo})`, names.join(', ') || '-']),
  )}`;
}
