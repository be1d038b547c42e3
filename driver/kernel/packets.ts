import { randomBytes } from 'node:crypto';
import { addressBytes } from '../ipam/address.ts';

/** A UDP datagram as its receiver sees it. Both addresses are of one family. */
export interface Datagram {
  from: string;
  fromPort: number;
  to: string;
  toPort: number;
  /** The type of service, or traffic class: DSCP and ECN. */
  traffic: number;
  /** The time to live, or hop limit. */
  hops: number;
  data: Buffer;
}

const UDP = 17;
const UDP_HEADER = 8;
/** Next header of a fragment of IPv6, RFC 8200 §4.5. */
const FRAGMENT = 44;
/** Fragments begin at multiples of this, bytes. */
const FRAGMENT_UNIT = 8;

/**
 * The IP packets that carry a datagram: RFC 768, RFC 791 with its fragments, RFC 8200.
 *
 * @param mtu the most that a packet may have, bytes
 */
export function packetsOf(datagram: Datagram, mtu: number): Buffer[] {
  const [from, to] = [addressBytes(datagram.from), addressBytes(datagram.to)];
  const body = udp(datagram, from, to);
  const six = from.length === 16;
  const header = six ? 40 : 20;
  const pack = six ? packet6 : packet4;
  if (header + body.length <= mtu) return [pack({ ...datagram, from, to, body })];
  const id = randomBytes(4);
  const most = Math.floor((mtu - header - (six ? 8 : 0)) / FRAGMENT_UNIT) * FRAGMENT_UNIT;
  return Array.from({ length: Math.ceil(body.length / most) }, (_, index) => {
    const at = index * most;
    return pack({ ...datagram, from, to, body: body.subarray(at, at + most), fragment: { id, at, more: at + most < body.length } });
  });
}

interface Packet {
  from: Buffer;
  to: Buffer;
  traffic: number;
  hops: number;
  body: Buffer;
  fragment?: { id: Buffer; at: number; more: boolean };
}

function packet4({ from, to, traffic, hops, body, fragment }: Packet): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt8(traffic, 1);
  header.writeUInt16BE(header.length + body.length, 2);
  fragment?.id.copy(header, 4, 0, 2);
  if (fragment) header.writeUInt16BE((fragment.more ? 0x2000 : 0) | (fragment.at / FRAGMENT_UNIT), 6);
  header.writeUInt8(hops, 8);
  header.writeUInt8(UDP, 9);
  from.copy(header, 12);
  to.copy(header, 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, body]);
}

function packet6({ from, to, traffic, hops, body, fragment }: Packet): Buffer {
  const between = Buffer.alloc(fragment ? 8 : 0);
  if (fragment) {
    between.writeUInt8(UDP, 0);
    // in units of eight bytes, three bits further up: the number itself
    between.writeUInt16BE(fragment.at | (fragment.more ? 1 : 0), 2);
    fragment.id.copy(between, 4);
  }
  const header = Buffer.alloc(40);
  header.writeUInt32BE(0x60000000 + traffic * 2 ** 20, 0);
  header.writeUInt16BE(between.length + body.length, 4);
  header.writeUInt8(fragment ? FRAGMENT : UDP, 6);
  header.writeUInt8(hops, 7);
  from.copy(header, 8);
  to.copy(header, 24);
  return Buffer.concat([header, between, body]);
}

/** Header and data, with the checksum over them and what of the IP header belongs to it (RFC 768; RFC 8200 §8.1). */
function udp({ fromPort, toPort, data }: Datagram, from: Buffer, to: Buffer): Buffer {
  const segment = Buffer.concat([Buffer.alloc(UDP_HEADER), data]);
  segment.writeUInt16BE(fromPort, 0);
  segment.writeUInt16BE(toPort, 2);
  segment.writeUInt16BE(segment.length, 4);
  const pseudo = Buffer.alloc(8);
  pseudo.writeUInt32BE(segment.length, 0);
  pseudo.writeUInt32BE(UDP, 4);
  // zero would say that there is none
  segment.writeUInt16BE(checksum(Buffer.concat([from, to, pseudo, segment])) || 0xffff, 6);
  return segment;
}

/** RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at + 1 < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  if (bytes.length % 2 === 1) sum += bytes.at(-1)! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}
