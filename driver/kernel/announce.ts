import type { Neighbour } from '../overlay/state.ts';
import type { Kernel } from './kernel.ts';

const BROADCAST = 'ffffffffffff';
const ETHERTYPE_ARP = '0806';
/** Ethernet, IPv4, lengths of their addresses, request (RFC 826). */
const ARP_REQUEST = '0001' + '0800' + '06' + '04' + '0001';

/** An ARP announcement as in RFC 5227, 2.3: who hears it and has the address in its cache takes the new MAC over. */
export function announcement({ ip, mac }: Pick<Neighbour, 'ip' | 'mac'>): Buffer {
  const hardware = mac.replaceAll(':', '');
  const address = ip.split('.').map((part) => Number(part).toString(16).padStart(2, '0')).join('');
  return Buffer.from(BROADCAST + hardware + ETHERTYPE_ARP + ARP_REQUEST + hardware + address + '000000000000' + address, 'hex');
}

/**
 * Tells the containers on a bridge that an address has another MAC now. Whoever has it could not tell those of other hosts: with
 * neighbour suppression a bridge keeps announcements away from its tunnels (kernel net/bridge/br_arp_nd_proxy.c).
 */
export async function announce(kernel: Kernel, neighbour: Neighbour): Promise<void> {
  await kernel.run(['socat', '-u', 'STDIN', `INTERFACE:${neighbour.dev}`], { input: announcement(neighbour) });
}
