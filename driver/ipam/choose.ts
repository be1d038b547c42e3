import { randomBytes } from 'node:crypto';
import { CoatError } from '../host/errors.ts';
import { formatSubnet, overlap, parseSubnet, type Subnet } from './address.ts';
import { LENGTHS } from './pool.ts';

/** Where the subnets of networks come from whose user names none. */
export interface AddressPool {
  range: Subnet;
  /** Prefix length of each subnet. */
  length: number;
}

/** In none of the ranges that Docker gives to its own networks (moby daemon/libnetwork/ipamutils). */
export const DEFAULT_POOL = '10.213.0.0/16';
const DEFAULT_LENGTH = 24;

/** A route as wide as this, or wider, is a way to everywhere and not to a network. Prefix length. */
const EVERYWHERE = 1;

/** Reads `10.213.0.0/16`, or with the size of each subnet: `10.213.0.0/16,size=26`. @throws CoatError `bad-address` */
export function parseAddressPool(text: string): AddressPool {
  const match = /^([0-9./]+)(?:,size=(\d{1,2}))?$/.exec(text);
  if (!match) throw new CoatError('bad-address', `"${text}" is not of the form ${DEFAULT_POOL},size=${DEFAULT_LENGTH}`);
  const range = parseSubnet(match[1]!);
  const { narrowest } = LENGTHS[4];
  const length = Number(match[2] ?? Math.max(DEFAULT_LENGTH, range.length));
  if (length < range.length || length > narrowest) {
    throw new CoatError('bad-address', `subnets of size ${length} cannot be cut from ${formatSubnet(range)}: a size is from ${range.length} to ${narrowest}`);
  }
  return { range, length };
}

export const formatAddressPool = ({ range, length }: AddressPool): string => `${formatSubnet(range)},size=${length}`;

/** The lowest subnet of the pool that overlaps none of these; `undefined` where there is none. */
export function chooseSubnet({ range, length }: AddressPool, taken: readonly Subnet[]): Subnet | undefined {
  const inTheWay = taken.filter((other) => overlap(range, other));
  const count = 2 ** (length - range.length);
  for (let index = 0; index < count; index += 1) {
    const subnet = { base: range.base + (BigInt(index) << BigInt(32 - length)), length };
    if (!inTheWay.some((other) => overlap(subnet, other))) return subnet;
  }
  return undefined;
}

/** Of an IPv6 subnet that nobody names, as of nearly all; prefix length. */
const LENGTH6 = 64;

/**
 * A subnet of unique local IPv6 addresses, whose 56 bits are by chance, as RFC 4193 §3.2.2 has it: so no two hosts choose the
 * same, and no network that is joined to this one later has it.
 */
export function chooseSubnet6(taken: readonly Subnet[]): Subnet {
  for (;;) {
    const subnet = { base: BigInt(`0xfd${randomBytes(7).toString('hex')}`) << 64n, length: LENGTH6 };
    if (!taken.some((other) => overlap(subnet, other))) return subnet;
  }
}

/** Of a host's routes those that lead to something inside the pool. A host may have a million others. */
export function routesInto({ range }: AddressPool, routes: readonly string[]): string[] {
  return routes.filter((route) => {
    const subnet = parseSubnet(route);
    return subnet.length > EVERYWHERE && overlap(range, subnet);
  });
}
