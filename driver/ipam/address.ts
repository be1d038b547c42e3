import { isIPv4, isIPv6 } from 'node:net';
import { CoatError } from '../host/errors.ts';

/**
 * Arithmetic of addresses, of both families with the same numbers of 128 bits: an IPv4 address is where RFC 4291 §2.5.5.2 maps
 * it, at `::ffff:a.b.c.d`. So none of one family lies in a subnet of the other. Text only at the edges.
 */
export interface Subnet {
  /** The first address, host bits zero. */
  base: bigint;
  /** Prefix length, as it is written: to 32 or 128. */
  length: number;
}

export type Family = 4 | 6;

const bits = (family: Family): number => (family === 4 ? 32 : 128);
const kindOf = (address: bigint): Family => (address >> 32n === 0xffffn ? 4 : 6);

/** Of an address, or of a subnet, as text. */
export const familyOf = (text: string): Family => (text.includes(':') ? 6 : 4);

/** @throws CoatError `bad-address` */
export function parseAddress(text: string): bigint {
  if (isIPv4(text)) return text.split('.').reduce((address, part) => address * 256n + BigInt(part), 0xffffn);
  // a zone names an interface of one host, which is nothing to others
  if (isIPv6(text) && !text.includes('%')) {
    const [head = '', tail] = plain(text).split('::');
    const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
    const [front, back] = [groups(head), groups(tail ?? '')];
    const all = tail === undefined ? front : [...front, ...Array.from({ length: 8 - front.length - back.length }, () => '0'), ...back];
    const address = all.reduce((sum, group) => (sum << 16n) + BigInt(`0x${group}`), 0n);
    if (kindOf(address) === 6) return address;
  }
  throw new CoatError('bad-address', `"${text}" is not an IP address`);
}

/** The one form of an IPv6 address that all programs write, RFC 5952, for those that are none of IPv4. The parser of URLs knows it. */
const plain = (text: string): string => new URL(`http://[${text}]`).hostname.slice(1, -1);

export function formatAddress(address: bigint): string {
  if (kindOf(address) === 4) return [24n, 16n, 8n, 0n].map((shift) => (address >> shift) & 255n).join('.');
  return plain(address.toString(16).padStart(32, '0').match(/.{4}/g)!.join(':'));
}

/** As it goes over the wire, in the order of the network: 4 or 16 bytes. @throws CoatError `bad-address` */
export function addressBytes(text: string): Buffer {
  const all = Buffer.from(parseAddress(text).toString(16).padStart(32, '0'), 'hex');
  return familyOf(text) === 4 ? all.subarray(12) : all;
}

/** The one text of an address, by which it is a record's key. @throws CoatError `bad-address` */
export const canonical = (text: string): string => formatAddress(parseAddress(text));

/** Reads `10.42.0.0/24` or `fd00::/64`; host bits may be set and are cleared. @throws CoatError `bad-address` */
export function parseSubnet(text: string): Subnet {
  const [address = '', length = ''] = text.split('/');
  if (!/^\d{1,3}$/.test(length) || Number(length) > bits(familyOf(address))) throw new CoatError('bad-address', `"${text}" is not a subnet`);
  return { base: maskTo(parseAddress(address), Number(length)), length: Number(length) };
}

export const formatSubnet = (subnet: Subnet): string => `${formatAddress(subnet.base)}/${subnet.length}`;

export const family = (subnet: Subnet): Family => kindOf(subnet.base);
export const size = (subnet: Subnet): bigint => 1n << BigInt(bits(family(subnet)) - subnet.length);
export const last = (subnet: Subnet): bigint => subnet.base + size(subnet) - 1n;
export const contains = (subnet: Subnet, address: bigint): boolean => address >= subnet.base && address <= last(subnet);
export const overlap = (a: Subnet, b: Subnet): boolean => contains(a, b.base) || contains(b, a.base);

/**
 * Whether an interface may have it: neither the network's own address (in IPv6 that of all its routers, RFC 4291 §2.6.1) nor
 * the last, to which IPv4 broadcasts (RFC 1122 §3.2.1.3).
 */
export const isUsable = (subnet: Subnet, address: bigint): boolean => address > subnet.base && address < last(subnet);

/** The address of `10.42.0.5/24`, or of `10.42.0.5`. */
export const withoutLength = (text: string): string => text.split('/')[0]!;

/** The prefix length of `10.42.0.5/24`. */
export const lengthOf = (text: string): number => Number(text.split('/')[1]);

function maskTo(address: bigint, length: number): bigint {
  const host = BigInt(bits(kindOf(address)) - length);
  return (address >> host) << host;
}
