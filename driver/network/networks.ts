import { CoatError, explain } from '../host/errors.ts';
import { chooseSubnet6 } from '../ipam/choose.ts';
import { ADDRESS_SPACE, defaultGateway } from '../ipam/pool.ts';
import { formatSubnet, overlap, parseSubnet, withoutLength } from '../ipam/address.ts';
import { chooseMtu, readOptions, type Choices } from '../overlay/options.ts';
import { Claim, Network, claimPath, networkKey, networkPath } from '../overlay/records.ts';
import { changeRecord } from '../store/change.ts';
import { StoreAwayError } from '../store/store.ts';
import type { CreateNetworkRequest } from '../docker/messages.ts';
import { enterNetwork } from './book.ts';
import type { Room } from './room.ts';

/** `-o` of `docker network create`, libnetwork/netlabel. */
const GENERIC = 'com.docker.network.generic';
const INTERNAL = 'com.docker.network.internal';
const IPV6 = 'com.docker.network.enable_ipv6';

/** The smallest MTU a link with IPv6 may have, RFC 8200 §5. Bytes. */
const SMALLEST_MTU6 = 1280;

/** What a user's `docker network create` says about a network, whichever host it is typed on. */
interface Asked {
  key: string;
  gateway: string | undefined;
  /** IPv6 beside it. */
  second: { subnet6: string; gateway6: string } | undefined;
  reserved: string[];
  internal: boolean;
  options: Record<string, string>;
  choices: Choices;
}

/**
 * Remembers a network of this engine, and, if it is the first engine to have it, what the user said
 * about it. No kernel object yet: a host without containers in a network needs none.
 *
 * @throws CoatError where it is not a network of ours, or contradicts what other hosts have
 */
export async function createNetwork(room: Room, request: CreateNetworkRequest): Promise<void> {
  const asked = readRequest(request);
  const other = room.local.networks.find(({ id, network }) => id !== request.NetworkID && network.key === asked.key);
  if (other) {
    throw new CoatError('network-exists', `this host already has the subnet of that network, as network ${other.id.slice(0, 12)}`, { hint: 'choose another --subnet' });
  }
  const network = await settle(room, asked);
  await room.local.networks.set({ id: request.NetworkID, network });
  if (network.subnet6 !== undefined) room.chosen6.delete(network.subnet6);
  // Docker asked for these one by one, as if for endpoints, and nobody will ever use them
  if (room.replica.connected) await Promise.all(asked.reserved.map((ip) => giveBack(room, asked.key, ip)));
  room.log.info({ network: asked.key, id: request.NetworkID, vni: network.vni }, 'network created on this engine');
}

/** Forgets a network of this engine with all that was left of it. An unknown one is fine. */
export async function deleteNetwork(room: Room, id: string): Promise<void> {
  const key = room.local.networks.get(id)?.network.key;
  const left = room.local.endpoints.values().filter(({ networkId }) => networkId === id);
  for (const endpoint of left) await room.local.endpoints.delete(endpoint.id);
  await room.local.networks.delete(id);
  if (left.length > 0) await room.reconciler.now(true);
  if (key !== undefined) await dropUnnamed(room, key).catch((error: unknown) => room.log.warn({ reason: explain(error), network: key }, 'the record of a network stays'));
}

/**
 * Removes the record of a network that is gone before its name was known: no other host has it, and no agent has seen it, so
 * nobody would ever remove it.
 */
async function dropUnnamed(room: Room, key: string): Promise<void> {
  const isOurs = (network: Network | undefined): boolean => network !== undefined && network.name === undefined && network.maker === room.host;
  if (!isOurs(room.replica.networks.get(key))) return;
  await changeRecord(room, networkPath(key), (value) => Network.parse(value), (network) => (isOurs(network) ? 'delete' : undefined));
}

function readRequest({ IPv4Data, IPv6Data, Options }: CreateNetworkRequest): Asked {
  const [pool, ...more] = IPv4Data ?? [];
  const [pool6, ...more6] = IPv6Data ?? [];
  if (!pool && pool6) throw new CoatError('no-ipv4', 'a coat network has IPv6 beside IPv4, not alone', { hint: 'leave --ipv4=false out' });
  if (!pool || more.length > 0) throw new CoatError('one-subnet', 'a coat network has one IPv4 subnet', { hint: 'add --ipam-driver coat, and one --subnet or none' });
  if (more6.length > 0) throw new CoatError('one-subnet', 'a coat network has one IPv6 subnet', { hint: 'name one --subnet of IPv6, or none' });
  if (!pool6 && Options?.[IPV6] === true) throw new CoatError('no-subnet', 'this engine chooses no IPv6 subnet by itself', { hint: `name one, for example --subnet ${formatSubnet(chooseSubnet6([]))}` });
  if (pool.AddressSpace !== ADDRESS_SPACE) {
    throw new CoatError('foreign-ipam', "a coat network needs coat's own address management, so that no two hosts give out the same address", {
      hint: 'add --ipam-driver coat',
    });
  }
  const options = textOf(Options?.[GENERIC]);
  return {
    key: networkKey(pool.Pool),
    gateway: pool.Gateway ? withoutLength(pool.Gateway) : undefined,
    second: pool6 && { subnet6: pool6.Pool, gateway6: pool6.Gateway ? withoutLength(pool6.Gateway) : defaultGateway(parseSubnet(pool6.Pool)) },
    reserved: [pool, ...(pool6 ? [pool6] : [])].flatMap(({ AuxAddresses }) => Object.values(AuxAddresses ?? {}).map(withoutLength)).sort(),
    internal: Options?.[INTERNAL] === true,
    options,
    choices: readOptions(options),
  };
}

function textOf(generic: unknown): Record<string, string> {
  if (typeof generic !== 'object' || generic === null) return {};
  return Object.fromEntries(Object.entries(generic).map(([key, value]) => [key, String(value)]));
}

/** What the cluster says about the network: decided by the first engine, repeated by the others. */
async function settle(room: Room, asked: Asked): Promise<Network> {
  const { key, internal, options, reserved, choices, second } = asked;
  const decide = (networks: ReadonlyMap<string, Network>): Network => {
    const network = networks.get(key);
    if (!network) throw new CoatError('unknown-network', `no host knows a network ${key}`, { hint: 'create it again: docker network create -d coat --ipam-driver coat --subnet …' });
    if (asked.gateway && network.gateway !== asked.gateway) throw otherwise(network, `the gateway ${network.gateway}`);
    if (!network.created) {
      const vni = choices.vni ?? network.vni;
      const rival = [...networks.values()].find((other) => other.key !== key && other.vni === vni);
      if (rival) throw new CoatError('vni-taken', `the VNI ${vni} belongs to the network ${rival.name ?? rival.subnet}`, { hint: 'choose another one, or leave -o vni out' });
      const mtu = chooseMtu(network.mtu, choices);
      return { ...network, vni, mtu, options, internal, reserved, created: true, ...(second && settleSecond(room, second, networks, mtu)) };
    }
    if (network.subnet6 !== second?.subnet6) throw otherwise(network, network.subnet6 === undefined ? 'no IPv6' : `the IPv6 subnet ${network.subnet6}`);
    if (network.gateway6 !== second?.gateway6) throw otherwise(network, `the gateway ${network.gateway6}`);
    if (network.internal !== internal) throw otherwise(network, network.internal ? '--internal' : 'no --internal');
    if (sorted(network.options) !== sorted(options)) throw otherwise(network, `the options ${sorted(network.options)}`);
    return network;
  };
  try {
    return await enterNetwork(room, decide);
  } catch (error) {
    const known = room.replica.networks.get(key);
    if (!(error instanceof StoreAwayError) || !known || decide(room.replica.networks) !== known) throw error;
    return known;
  }
}

/** What a network's record gets for its IPv6. @throws CoatError where that cannot be */
function settleSecond({ host, chosen6 }: Room, second: { subnet6: string; gateway6: string }, networks: ReadonlyMap<string, Network>, mtu: number): Partial<Network> {
  const rival = [...networks.values()].find(({ subnet6 }) => subnet6 !== undefined && overlap(parseSubnet(subnet6), parseSubnet(second.subnet6)));
  if (rival) throw new CoatError('subnet-overlaps', `the subnet ${second.subnet6} overlaps ${rival.subnet6} of the network ${rival.name ?? rival.subnet}`, { hint: 'choose another --subnet' });
  if (mtu < SMALLEST_MTU6) throw new CoatError('bad-option', `IPv6 needs an mtu of ${SMALLEST_MTU6} bytes or more, and this network has ${mtu}`, { hint: 'leave --ipv6 out, or choose a larger -o mtu' });
  return { ...second, ...(chosen6.has(second.subnet6) ? { chosenOn: host } : {}) };
}

async function giveBack(room: Room, key: string, ip: string): Promise<void> {
  await changeRecord(room, claimPath(key, ip), (value) => Claim.parse(value), (claim) => (claim?.host === room.host ? 'delete' : undefined));
}

const otherwise = (network: Network, what: string): CoatError =>
  new CoatError('network-differs', `the network ${network.subnet} exists on other hosts with ${what}`, { hint: 'create it here in the same way, or with another --subnet' });

const sorted = (options: Record<string, string>): string => JSON.stringify(Object.entries(options).sort());
