import { CoatError } from '../host/errors.ts';
import type { Network } from '../overlay/records.ts';
import { contains, type Family, family, formatAddress, formatSubnet, isUsable, last, parseAddress, parseSubnet, type Subnet } from './address.ts';

/** What Docker calls a pool: a network's subnet, and the part of it that addresses are taken from (`--ip-range`). */
export interface Pool {
  subnet: Subnet;
  range: Subnet;
}

/** The one address space we have. Local and global are the same, so Docker leaves overlaps to us (libnetwork, ipams/remote). */
export const ADDRESS_SPACE = 'coat';

/** Larger than this nobody needs on one layer 2; smaller has no room for a gateway and an endpoint. Prefix lengths. */
export const LENGTHS: Record<Family, { widest: number; narrowest: number }> = { 4: { widest: 8, narrowest: 30 }, 6: { widest: 16, narrowest: 126 } };

/** Reads what `--subnet` and `--ip-range` gave. @throws CoatError `bad-address`, `no-subnet` */
export function makePool(subnetText: string | undefined, rangeText: string | undefined): Pool {
  if (!subnetText) {
    throw new CoatError('no-subnet', 'a range of addresses (--ip-range) needs a subnet that it is in', { hint: 'add --subnet 10.42.0.0/24' });
  }
  const subnet = parseSubnet(subnetText);
  const { widest, narrowest } = LENGTHS[family(subnet)];
  if (subnet.length < widest || subnet.length > narrowest) {
    throw new CoatError('bad-address', `an IPv${family(subnet)} subnet of a coat network has a prefix length from ${widest} to ${narrowest}, not ${subnet.length}`);
  }
  const range = rangeText ? parseSubnet(rangeText) : subnet;
  if (!contains(subnet, range.base) || range.length < subnet.length) {
    throw new CoatError('bad-address', `the range ${formatSubnet(range)} is not inside ${formatSubnet(subnet)}`);
  }
  return { subnet, range };
}

/** @throws CoatError `bad-address` */
export function checkFamily({ subnet }: Pool, wanted: Family): void {
  if (family(subnet) !== wanted) throw new CoatError('bad-address', `${formatSubnet(subnet)} is not an IPv${wanted} subnet`);
}

/** @throws CoatError `bad-address` where no interface of the subnet can have that address */
export function checkUsable({ subnet }: Pool, ip: string): void {
  const address = parseAddress(ip);
  if (!contains(subnet, address) || !isUsable(subnet, address)) {
    throw new CoatError('bad-address', `${ip} is not an address for an interface in ${formatSubnet(subnet)}`);
  }
}

/** A pool's id says all there is to know about it, so that nothing has to be remembered: `coat/10.42.0.0/24,10.42.0.128/25`. */
export function poolId(pool: Pool): string {
  const range = formatSubnet(pool.range);
  return `${ADDRESS_SPACE}/${formatSubnet(pool.subnet)}${range === formatSubnet(pool.subnet) ? '' : `,${range}`}`;
}

/** @throws CoatError `unknown-pool` */
export function parsePoolId(id: string): Pool {
  const match = /^coat\/([0-9a-f.:/]+)(?:,([0-9a-f.:/]+))?$/.exec(id);
  if (!match) throw new CoatError('unknown-pool', `"${id}" is not an address pool of coat`);
  return makePool(match[1], match[2]);
}

/** The gateway of a network whose user named none: the first usable address, as Docker's own drivers have it. */
export const defaultGateway = (subnet: Subnet): string => formatAddress(subnet.base + 1n);

/** Addresses of a network that no endpoint gets, and that need no claim for it. */
export const neverGiven = ({ gateway, gateway6, reserved = [] }: Network): Set<string> => new Set([gateway, ...(gateway6 === undefined ? [] : [gateway6]), ...reserved]);

/**
 * The lowest free address above `after`, else the lowest of all: an address just given back is the
 * last to be given again, so that no peer's cache confuses its old and its new holder.
 *
 * @returns undefined where all are taken
 */
export function pickFree(pool: Pool, taken: (address: bigint) => boolean, after = 0n): bigint | undefined {
  const free = (from: bigint, to: bigint): bigint | undefined => {
    for (let address = from; address <= to; address += 1n) if (isUsable(pool.subnet, address) && !taken(address)) return address;
    return undefined;
  };
  const [first, end] = [pool.range.base, last(pool.range)];
  const start = contains(pool.range, after) ? after + 1n : first;
  return free(start, end) ?? free(first, start - 1n < end ? start - 1n : end);
}
