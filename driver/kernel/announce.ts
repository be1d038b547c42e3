import { addressBytes, familyOf } from '../ipam/address.ts';
import type { Neighbour } from '../overlay/state.ts';
import type { Kernel } from './kernel.ts';

const BROADCAST = 'ffffffffffff';
const ETHERTYPE_ARP = '0806';
/** Ethernet, IPv4, lengths of their addresses, request (RFC 826). */
const ARP_REQUEST = '0001' + '0800' + '06' + '04' + '0001';

/** Ethernet's name of all nodes, RFC 2464 §7, and IPv6's, RFC 4291 §2.7.1. */
const ALL_NODES = ['333300000001', 'ff020000000000000000000000000001'] as const;
const ETHERTYPE_IPV6 = '86dd';
const ICMPV6 = 58;
/** Neighbour advertisement, no code, checksum not computed yet, flag "override", RFC 4861 §4.4. */
const ADVERTISEMENT = '88' + '00' + '0000' + '20000000';
/** The option "target link-layer address", of 8 bytes. */
const LINK_LAYER = '02' + '01';

/**
 * Says that an address has this MAC: who hears it and has the address in its cache takes the new MAC over. For IPv4 an ARP
 * announcement as in RFC 5227, 2.3; for IPv6 an unsolicited neighbour advertisement as in RFC 4861, 7.2.6.
 */
export function announcement({ ip, mac }: Pick<Neighbour, 'ip' | 'mac'>): Buffer {
  const hardware = mac.replaceAll(':', '');
  const address = addressBytes(ip).toString('hex');
  if (familyOf(ip) === 4) return Buffer.from(BROADCAST + hardware + ETHERTYPE_ARP + ARP_REQUEST + hardware + address + '000000000000' + address, 'hex');
  const message = Buffer.from(ADVERTISEMENT + address + LINK_LAYER + hardware, 'hex');
  message.writeUInt16BE(checksum(Buffer.concat([Buffer.from(address + ALL_NODES[1], 'hex'), Buffer.of(0, 0, 0, message.length, 0, 0, 0, ICMPV6), message])), 2);
  // version 6, length, next header, and the hop limit that shows that no router was between
  const header = Buffer.of(0x60, 0, 0, 0, 0, message.length, ICMPV6, 255);
  return Buffer.concat([Buffer.from(ALL_NODES[0] + hardware + ETHERTYPE_IPV6, 'hex'), header, Buffer.from(address + ALL_NODES[1], 'hex'), message]);
}

/** RFC 1071; of an even number of bytes. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/**
 * Tells the containers on a bridge that an address has another MAC now. Whoever has it could not tell those of other hosts: with
 * neighbour suppression a bridge keeps announcements away from its tunnels (kernel net/bridge/br_arp_nd_proxy.c).
 */
export async function announce(kernel: Kernel, neighbour: Neighbour): Promise<void> {
  await kernel.run(['socat', '-u', 'STDIN', `INTERFACE:${neighbour.dev}`], { input: announcement(neighbour) });
}
