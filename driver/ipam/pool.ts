import { CoatError } from '../host/errors.ts';
import { contains, formatAddress, formatSubnet, isUsable, last, parseSubnet, type Subnet } from './address.ts';

/** What Docker calls a pool: a network's subnet, and the part of it that addresses are taken from (`--ip-range`). */
export interface Pool {
  subnet: Subnet;
  range: Subnet;
}

/** The one address space we have. Local and global are the same, so Docker leaves overlaps to us (libnetwork, ipams/remote). */
export const ADDRESS_SPACE = 'coat';

/** Larger than this nobody needs on one layer 2; smaller has no room for a gateway and an endpoint. Prefix lengths. */
const WIDEST = 8;
export const NARROWEST = 30;

/** Reads what `--subnet` and `--ip-range` gave. @throws CoatError `bad-address`, `no-subnet` */
export function makePool(subnetText: string | undefined, rangeText: string | undefined): Pool {
  if (!subnetText) {
    throw new CoatError('no-subnet', 'a range of addresses (--ip-range) needs a subnet that it is in', { hint: 'add --subnet 10.42.0.0/24' });
  }
  const subnet = parseSubnet(subnetText);
  if (subnet.length < WIDEST || subnet.length > NARROWEST) {
    throw new CoatError('bad-address', `a coat network has a prefix length from ${WIDEST} to ${NARROWEST}, not ${subnet.length}`);
  }
  const range = rangeText ? parseSubnet(rangeText) : subnet;
  if (!contains(subnet, range.base) || range.length < subnet.length) {
    throw new CoatError('bad-address', `the range ${formatSubnet(range)} is not inside ${formatSubnet(subnet)}`);
  }
  return { subnet, range };
}

/** A pool's id says all there is to know about it, so that nothing has to be remembered: `coat/10.42.0.0/24,10.42.0.128/25`. */
export function poolId(pool: Pool): string {
  const range = formatSubnet(pool.range);
  return `${ADDRESS_SPACE}/${formatSubnet(pool.subnet)}${range === formatSubnet(pool.subnet) ? '' : `,${range}`}`;
}

/** @throws CoatError `unknown-pool` */
export function parsePoolId(id: string): Pool {
  const match = /^coat\/([0-9./]+)(?:,([0-9./]+))?$/.exec(id);
  if (!match) throw new CoatError('unknown-pool', `"${id}" is not an address pool of coat`);
  return makePool(match[1], match[2]);
}

/** The gateway of a network whose user named none: the first usable address, as Docker's own drivers have it. */
export const defaultGateway = (subnet: Subnet): string => formatAddress(subnet.base + 1);

/**
 * The lowest free address above `after`, else the lowest of all: an address just given back is the
 * last to be given again, so that no peer's cache confuses its old and its new holder.
 *
 * @returns undefined where all are taken
 */
export function pickFree(pool: Pool, taken: (address: number) => boolean, after = 0): number | undefined {
  const free = (from: number, to: number): number | undefined => {
    for (let address = from; address <= to; address += 1) if (isUsable(pool.subnet, address) && !taken(address)) return address;
    return undefined;
  };
  const [first, end] = [pool.range.base, last(pool.range)];
  const start = contains(pool.range, after) ? after + 1 : first;
  return free(start, end) ?? free(first, Math.min(start - 1, end));
}
