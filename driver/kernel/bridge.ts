import type { Bridge } from '../overlay/state.ts';
import { isBridge } from '../overlay/names.ts';
import { isUp, type Link } from './links.ts';

/** Our bridges among the interfaces. */
export function listBridges(links: readonly Link[]): Bridge[] {
  return links.filter((link) => isBridge(link.ifname) && link.linkinfo?.info_kind === 'bridge').map((link) => {
    const of = (wanted: string): string | undefined => {
      const found = link.addr_info?.find(({ family, scope }) => family === wanted && scope === 'global');
      return found && `${found.local}/${found.prefixlen}`;
    };
    return {
      name: link.ifname,
      mac: link.address ?? '',
      mtu: link.mtu,
      address: of('inet'),
      address6: of('inet6'),
      up: isUp(link),
    };
  });
}

/**
 * `ip` commands that make a bridge what it should be. No spanning tree and no forward delay: a port
 * works at once. No multicast snooping: without a querier it would lose group traffic after 260 s.
 */
export function ensureBridge(want: Bridge, have: Bridge | undefined): string[] {
  const { name, mac, mtu } = want;
  const lines: string[] = [];
  if (!have) lines.push(`link add dev ${name} address ${mac} mtu ${mtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`, `link set dev ${name} addrgenmode none`);
  else if (have.mac !== mac || have.mtu !== mtu) lines.push(`link set dev ${name} address ${mac} mtu ${mtu}`);
  if (have?.address !== want.address) {
    if (have?.address) lines.push(`address del ${have.address} dev ${name}`);
    if (want.address) lines.push(`address add ${want.address} dev ${name}`);
  }
  if (!have?.up) lines.push(`link set dev ${name} up`);
  return lines;
}

/**
 * `ip` commands for a bridge's IPv6 address, to be run when IPv6 is on there. All hosts have the same, so nobody may ask whether
 * another one has it (duplicate address detection, RFC 4862 §5.4).
 */
export function ensureAddress6(want: Bridge, have: Bridge | undefined): string[] {
  if (have?.address6 === want.address6) return [];
  const lines = have?.address6 === undefined ? [] : [`address del ${have.address6} dev ${want.name}`];
  return want.address6 === undefined ? lines : [...lines, `address add ${want.address6} dev ${want.name} nodad`];
}
