import { isDeepStrictEqual } from 'node:util';
import { contains, formatSubnet, isUsable, overlap, parseAddress, parseSubnet, type Subnet } from '../../../driver/ipam/address.ts';
import { Network, networkKey, networkPath } from '../../../driver/overlay/records.ts';
import { type Change, forbidden, type Known, MAY, type Wanted, type Writer } from './change.ts';

const NETWORKS = 'networks/';

/**
 * Any host makes networks, of which no two have an address or a VNI in common, and removes those that nobody uses, as `docker network
 * rm` does. One that is made stays as it is; it gets its name afterwards.
 */
export function judgeNetwork(writer: Writer, { key, before, after }: Change, changes: readonly Change[], known: Known): Wanted {
  const old = before === undefined ? undefined : read(key, before);
  if (after === undefined) return judgeRemoval(writer, old!, known);
  const network = read(key, after);
  const entered = changes.some((change) => change.key === 'book');
  if (old === undefined) {
    const wanted = network.created ? checkRestored(network, known) : MAY;
    if (!network.created && network.maker !== writer.name) throw forbidden(`a network that host ${writer.name} makes is not made by ${network.maker}`);
    return [...wanted, ...checkRivals(network, entered, known)];
  }
  if (old.created) return judgeMade(writer, before as object, old, after as object, network);
  const { key: _key, subnet, number, maker } = old;
  if (network.subnet !== subnet || network.number !== number || network.maker !== maker) throw forbidden(`the network ${subnet} is host ${maker}'s to make`);
  return network.vni === old.vni && network.subnet6 === old.subnet6 ? MAY : checkRivals(network, entered, known);
}

function judgeMade({ name: me }: Writer, before: object, old: Network, after: object, network: Network): Wanted {
  const named = old.name === undefined && network.name !== undefined ? { name: network.name } : {};
  const expected: Record<string, unknown> = { ...before, ...named };
  // its engine is told the subnet by now
  if (old.chosenOn === me && network.chosenOn === undefined) delete expected['chosenOn'];
  if (!isDeepStrictEqual(after, expected)) throw forbidden(`the network ${old.name ?? old.subnet} stays as it was made`);
  return MAY;
}

function judgeRemoval({ name: me }: Writer, { key, subnet, name, maker, created }: Network, known: Known): Wanted {
  if (maker === me && (!created || name === undefined)) return MAY;
  if (!created) throw forbidden(`the network ${subnet} is just being made by host ${maker}`);
  const prefix = `claims/${key}/`;
  const claims = known.under(prefix);
  if (claims === undefined) return [prefix];
  if (isInUse(claims)) throw forbidden(`containers have addresses in the network ${name ?? subnet}`);
  return MAY;
}

/** One whose record was removed while a container was coming. */
function checkRestored({ key, subnet }: Network, known: Known): Wanted {
  const prefix = `claims/${key}/`;
  const claims = known.under(prefix);
  if (claims === undefined) return [prefix];
  if (!isInUse(claims)) throw forbidden(`nobody has an address in ${subnet}: a new network begins as such`);
  return MAY;
}

const isInUse = (claims: ReadonlyMap<string, unknown>): boolean => [...claims.values()].some((claim) => (claim as { spare?: unknown } | null)?.spare !== true);

/** The book makes sure that of two hosts that enter networks at once one sees the other's. */
function checkRivals(network: Network, entered: boolean, known: Known): Wanted {
  if (!entered) throw forbidden('a network is entered in the book');
  const all = known.under(NETWORKS);
  if (all === undefined) return [NETWORKS];
  const mine = subnetsOf(network);
  for (const [key, value] of all) {
    if (key === networkPath(network.key)) continue;
    const other = Network.parse(value);
    if (other.vni === network.vni) throw forbidden(`the VNI ${other.vni} belongs to the network ${other.name ?? other.subnet}`);
    if (subnetsOf(other).some((one) => mine.some((own) => overlap(one, own)))) throw forbidden(`the subnet ${network.subnet} overlaps that of the network ${other.name ?? other.subnet}`);
  }
  return MAY;
}

const subnetsOf = ({ subnet, subnet6 }: Network): Subnet[] => [subnet, ...(subnet6 === undefined ? [] : [subnet6])].map(parseSubnet);

/** @throws CoatError where it is none, or is not that of the key */
function read(key: string, value: unknown): Network {
  const parsed = Network.safeParse(value);
  if (!parsed.success || !fits(key, parsed.data)) throw forbidden(`${key} would be no network of that subnet`);
  return parsed.data;
}

function fits(path: string, { key, subnet, gateway, subnet6, gateway6 }: Network): boolean {
  try {
    const isGood = (range: string, address: string): boolean => formatSubnet(parseSubnet(range)) === range && contains(parseSubnet(range), parseAddress(address)) && isUsable(parseSubnet(range), parseAddress(address));
    const isGood6 = subnet6 === undefined ? gateway6 === undefined : gateway6 !== undefined && isGood(subnet6, gateway6);
    return key === networkKey(subnet) && path === networkPath(key) && isGood(subnet, gateway) && isGood6;
  } catch {
    return false;
  }
}
