import { CoatError } from '../host/errors.ts';

/** IPv4 arithmetic. An address is a number from 0 to 2^32-1; text only at the edges. */
export interface Subnet {
  /** The first address, host bits zero. */
  base: number;
  /** Prefix length. */
  length: number;
}

/** @throws CoatError `bad-address` */
export function parseAddress(text: string): number {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (!parts || parts.some((part) => part > 255)) throw new CoatError('bad-address', `"${text}" is not an IPv4 address`);
  return parts.reduce((address, part) => address * 256 + part, 0);
}

export const formatAddress = (address: number): string => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');

/** Reads `10.42.0.0/24`; host bits may be set and are cleared. @throws CoatError `bad-address` */
export function parseSubnet(text: string): Subnet {
  const [address = '', length = ''] = text.split('/');
  if (!/^\d{1,2}$/.test(length) || Number(length) > 32) throw new CoatError('bad-address', `"${text}" is not an IPv4 subnet`);
  return { base: maskTo(parseAddress(address), Number(length)), length: Number(length) };
}

export const formatSubnet = (subnet: Subnet): string => `${formatAddress(subnet.base)}/${subnet.length}`;

export const size = (subnet: Subnet): number => 2 ** (32 - subnet.length);
export const last = (subnet: Subnet): number => subnet.base + size(subnet) - 1;
export const contains = (subnet: Subnet, address: number): boolean => address >= subnet.base && address <= last(subnet);
export const overlap = (a: Subnet, b: Subnet): boolean => contains(a, b.base) || contains(b, a.base);

/** The network's own address and its broadcast address, which no interface may have (RFC 1122 §3.2.1.3). */
export const isUsable = (subnet: Subnet, address: number): boolean => address > subnet.base && address < last(subnet);

/** The address of `10.42.0.5/24`, or of `10.42.0.5`. */
export const withoutLength = (text: string): string => text.split('/')[0]!;

function maskTo(address: number, length: number): number {
  const step = 2 ** (32 - length);
  return address - (address % step);
}
