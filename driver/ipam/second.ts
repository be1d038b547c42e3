import { CoatError, explain } from '../host/errors.ts';
import type { Room } from '../network/room.ts';
import { mayRelease } from '../overlay/claims.ts';
import { Claim, claimPath, Network } from '../overlay/records.ts';
import { changeRecord } from '../store/change.ts';
import { familyOf, formatSubnet, parseSubnet } from './address.ts';
import { chooseSubnet6 } from './choose.ts';
import { dropOrphans } from './orphans.ts';
import { checkFamily, checkUsable, defaultGateway, makePool, poolId, type Pool } from './pool.ts';

/**
 * A network's second subnet, of IPv6. Docker asks for it after the first, and does not say of which network it is. So nothing is
 * written down before CreateNetwork says that (network/networks.ts): the record of a network is found by the first subnet.
 */
export function requestPool6({ replica, chosen6 }: Room, named: string | undefined, range: string | undefined): { PoolID: string; Pool: string } {
  let subnet = named;
  if (subnet === undefined && range === undefined) {
    const taken = [...replica.networks.values()].flatMap(({ subnet6 }) => (subnet6 === undefined ? [] : parseSubnet(subnet6)));
    subnet = formatSubnet(chooseSubnet6(taken));
    chosen6.add(subnet);
  }
  const pool = makePool(subnet, range);
  checkFamily(pool, 6);
  return { PoolID: poolId(pool), Pool: formatSubnet(pool.subnet) };
}

/** The network with that IPv6 subnet, if this host knows one. */
export function known6({ replica, local }: Room, subnet: string): Network | undefined {
  const has = ({ subnet6 }: Network): boolean => subnet6 === subnet;
  return [...replica.networks.values()].find(has) ?? local.networks.find(({ network }) => has(network))?.network;
}

/** The network with that IPv6 subnet, if there is one. @throws StoreAwayError */
export async function networkOf6(room: Room, subnet: string): Promise<Network | undefined> {
  const known = known6(room, subnet);
  if (known) return known;
  const { entries } = await room.store.list('networks/');
  return entries.map(({ value }) => Network.parse(value)).find(({ subnet6 }) => subnet6 === subnet);
}

/**
 * What Docker asks for in an IPv6 subnet before it says of which network that is: the gateway, and addresses to be reserved.
 *
 * @throws CoatError `unknown-network`, `bad-address`
 */
export function earlyAddress(pool: Pool, wish: string | undefined, isGateway: boolean): string {
  if (wish !== undefined) checkUsable(pool, wish);
  else if (!isGateway) throw unknownNetwork(formatSubnet(pool.subnet));
  return wish ?? defaultGateway(pool.subnet);
}

/** An endpoint is made within this after its addresses were leased, or never; ms. */
const FORGOTTEN_MS = 5_000;

/**
 * Gives back what was leased for an endpoint that is refused its IPv6 address: Docker has asked for an IPv4 address just before,
 * and forgets it (moby libnetwork/endpoint.go, assignAddress).
 *
 * It does not say which. So that is the newest without an endpoint, now; and all that are still there as they were, later. If
 * it was another container's, that one claims it anew with its endpoint.
 */
export async function giveBackFirst(room: Room, { key }: Network): Promise<void> {
  const { host, local, log, replica } = room;
  const failed = (error: unknown): void => log.warn({ reason: explain(error), network: key }, 'an address that nobody has stays leased');
  const { revision } = replica;
  setTimeout(() => void dropOrphans(room, revision).catch(failed), FORGOTTEN_MS).unref();

  const isUnused = (claim: Claim): boolean => claim.mac === undefined && !claim.spare && mayRelease(claim, host);
  const revisionOf = ({ ip }: Claim): number => replica.revisionOf(claimPath(key, ip)) ?? 0;
  const unused = [...replica.claims.values()].filter((claim) => claim.network === key && familyOf(claim.ip) === 4 && isUnused(claim) && !local.endpointAt(key, claim.ip));
  const [newest] = unused.sort((a, b) => revisionOf(b) - revisionOf(a));
  if (!newest) return;
  await changeRecord(room, claimPath(key, newest.ip), (value) => Claim.parse(value), (claim) => (claim && isUnused(claim) ? 'delete' : undefined)).catch(failed);
}

export const unknownNetwork = (subnet: string): CoatError =>
  new CoatError('unknown-network', `no host knows a network ${subnet}`, { hint: 'create it again: docker network create -d coat --ipam-driver coat --subnet …' });
