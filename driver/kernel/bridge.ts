import type { Bridge } from '../overlay/state.ts';
import { isBridge } from '../overlay/names.ts';
import { isUp, type Link } from './links.ts';

/** Our bridges among the interfaces. */
export function listBridges(links: readonly Link[]): Bridge[] {
  return links.filter((link) => isBridge(link.ifname) && link.linkinfo?.info_kind === 'bridge').map((link) => {
    const address = link.addr_info?.find(({ family }) => family === 'inet');
    return {
      name: link.ifname,
      mac: link.address ?? '',
      mtu: link.mtu,
      address: address && `${address.local}/${address.prefixlen}`,
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
