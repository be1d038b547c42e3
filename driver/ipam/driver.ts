import { CoatError } from '../host/errors.ts';
import { linkExists } from '../kernel/veth.ts';
import { firstClaim, mayUse, taken } from '../overlay/claims.ts';
import { chooseVni, endpointMac, portName } from '../overlay/names.ts';
import { Claim, Network, claimPath, networkKey, networkPath } from '../overlay/records.ts';
import { enterNetwork } from '../network/book.ts';
import { macsOf } from '../network/endpoints.ts';
import { changeRecord } from '../store/change.ts';
import { ConflictError } from '../store/store.ts';
import type { Room } from '../network/room.ts';
import type { RequestAddressRequest, RequestPoolRequest } from '../docker/messages.ts';
import { canonical, family, formatAddress, formatSubnet, overlap, parseSubnet, withoutLength, type Subnet } from './address.ts';
import { chooseSubnet, formatAddressPool, type AddressPool } from './choose.ts';
import { checkFamily, checkUsable, defaultGateway, makePool, neverGiven, parsePoolId, pickFree, poolId, type Pool } from './pool.ts';
import type { Releases } from './releases.ts';
import { earlyAddress, giveBackFirst, known6, networkOf6, requestPool6, unknownNetwork } from './second.ts';
import { type Spares, used } from './spares.ts';

/**
 * Option of a pool (`--ipam-opt`): whoever asks repeats the network that has this number, and makes no new one. The agents set it when they repeat a
 * network of another host on their engine. Docker does not hand it on to anybody else.
 */
export const REPEATS = 'io.coat.repeats';

/** libnetwork/netlabel and ipamapi: what an address is asked for. */
const TYPE = 'RequestAddressType';
const GATEWAY = 'com.docker.network.gateway';
const NAME = 'com.docker.network.endpoint.name';

export interface IpamRoom extends Room {
  releases: Releases;
  spares: Spares;
  /** The MTU a new network should have, bytes. */
  mtu(): Promise<number>;
  /** Where subnets come from that nobody names. */
  pool: AddressPool;
  /** This host's routes into the pool. */
  routes(): Promise<string[]>;
}

/** The IpamDriver: addresses are leased from the store, so no two hosts give out the same. */
export class Ipam {
  readonly #room: IpamRoom;
  /** By subnet: the address given last, so that it is not given again at once. */
  readonly #last = new Map<string, bigint>();
  /** Keys of the networks that were drafted since this process began. */
  readonly #drafts = new Set<string>();

  constructor(room: IpamRoom) {
    this.#room = room;
  }

  /**
   * Creates the cluster's record of a network, or finds it there: every engine that has the network
   * asks for the same pool.
   */
  async requestPool({ Pool: subnet, SubPool, V6, Options }: RequestPoolRequest): Promise<{ PoolID: string; Pool: string }> {
    if (V6) return requestPool6(this.#room, subnet || undefined, SubPool || undefined);
    if (!subnet && !SubPool) {
      const chosen = makePool((await this.#chooseNetwork()).subnet, undefined);
      return { PoolID: poolId(chosen), Pool: formatSubnet(chosen.subnet) };
    }
    const pool = makePool(subnet ?? undefined, SubPool ?? undefined);
    checkFamily(pool, 4);
    const repeats = Options?.[REPEATS];
    await this.#networkOf(pool, true, typeof repeats === 'string' ? repeats : undefined);
    return { PoolID: poolId(pool), Pool: formatSubnet(pool.subnet) };
  }

  /** Leases an address, or confirms one. @returns it with its prefix length */
  async requestAddress({ PoolID, Address, Options }: RequestAddressRequest): Promise<{ Address: string }> {
    const pool = parsePoolId(PoolID);
    const wish = Address ? canonical(withoutLength(Address)) : undefined;
    const isSecond = family(pool.subnet) === 6;
    const network = await (isSecond ? networkOf6(this.#room, formatSubnet(pool.subnet)) : this.#networkOf(pool, false));
    if (!network) return { Address: `${earlyAddress(pool, wish, Options?.[TYPE] === GATEWAY)}/${pool.subnet.length}` };
    const ours = wish ?? this.#offered(network, isSecond);
    const give = (): Promise<string> => {
      if (Options?.[TYPE] === GATEWAY) return this.#gateway(pool, network, wish);
      return ours === undefined ? this.#leaseAny(pool, network, Options?.[NAME]) : this.#lease(pool, network, ours);
    };
    const ip = await give().catch(async (error: unknown) => {
      if (isSecond) await giveBackFirst(this.#room, network);
      throw error;
    });
    return { Address: `${ip}/${pool.subnet.length}` };
  }

  /** Gives an address back, unless it meanwhile is another host's. With the store away it is remembered and done later. */
  async releaseAddress({ PoolID, Address }: { PoolID: string; Address: string }): Promise<void> {
    const pool = parsePoolId(PoolID);
    const subnet = formatSubnet(pool.subnet);
    const key = family(pool.subnet) === 4 ? networkKey(subnet) : known6(this.#room, subnet)?.key;
    if (key !== undefined) await this.#room.releases.release(key, canonical(withoutLength(Address)));
  }

  /** An address that is on offer to whoever asks for any. */
  #offered({ key }: Network, isSecond: boolean): string | undefined {
    const ip = this.#room.offers.at(key);
    return ip !== undefined && isSecond ? this.#room.local.arrivalAt(key, ip)?.ip6 : ip;
  }

  /** @param repeats number of the network it has to be; any, where nobody says */
  async #networkOf(pool: Pool, create: boolean, repeats?: string): Promise<Network> {
    const { replica, store } = this.#room;
    const subnet = formatSubnet(pool.subnet);
    const key = networkKey(subnet);
    const known = replica.networks.get(key);
    if (known && (!create || !replica.connected)) return known;
    if (create) {
      const mtu = await this.#room.mtu();
      return enterNetwork(this.#room, (networks, number) => {
        const network = networks.get(key);
        // removed while its creation was on its way to this host: to draft it would bring it back everywhere
        if (repeats !== undefined && repeats !== numberOf(network)) throw new CoatError('network-gone', `the network ${subnet} was removed by another host at the same time`);
        // the engine that chose the subnet is told it now, by whoever makes the network anew
        const told = network?.chosenOn === this.#room.host && !this.#room.local.networks.find((other) => other.network.key === key);
        if (network) return told ? { ...network, chosenOn: undefined } : network;
        const rival = [...networks.values()].find((other) => overlap(parseSubnet(other.subnet), pool.subnet));
        if (rival) throw new CoatError('subnet-overlaps', `the subnet ${subnet} overlaps ${rival.subnet}${rival.name ? ` of the network ${rival.name}` : ''}`, { hint: 'choose another --subnet' });
        return this.#draft(pool.subnet, networks, { mtu, number });
      });
    }
    const entry = await store.get(networkPath(key));
    const found = entry && Network.parse(entry.value);
    if (found) replica.note(networkPath(key), entry.value, entry.revision);
    if (!found) throw unknownNetwork(subnet);
    return found;
  }

  /** A network with a subnet that nobody has, on no host. */
  async #chooseNetwork(): Promise<Network> {
    const { host, pool, replica } = this.#room;
    const [mtu, mine] = await Promise.all([this.#room.mtu(), this.#room.routes()]);
    const theirs = [...replica.hosts.values()].filter(({ name }) => name !== host).flatMap(({ routes }) => routes ?? []);
    const routes = [...mine, ...theirs].map(parseSubnet);
    return enterNetwork(this.#room, (networks, number) => {
      const subnet = chooseSubnet(pool, [...routes, ...[...networks.values()].map((other) => parseSubnet(other.subnet))]);
      if (subnet) return { ...this.#draft(subnet, networks, { mtu, number }), chosenOn: host };
      throw new CoatError('pool-empty', `no subnet of the pool ${formatAddressPool(pool)} is free of networks and of the routes of all hosts`, {
        hint: 'name one with --subnet, or give all hosts another COAT_POOL',
      });
    });
  }

  /** A network of which only the subnet is known so far: Docker says the rest when it creates it. */
  #draft(pool: Subnet, networks: ReadonlyMap<string, Network>, given: { mtu: number; number: number }): Network {
    const subnet = formatSubnet(pool);
    const key = networkKey(subnet);
    this.#drafts.add(key);
    const vni = chooseVni(key, new Set([...networks.values()].map((other) => other.vni)));
    return { key, subnet, gateway: defaultGateway(pool), vni, ...given, maker: this.#room.host, options: {}, internal: false };
  }

  /**
   * Docker does not need the pool any more. A network lives on for the other hosts; but one that never came to be, because its
   * creation was refused, leaves nothing.
   */
  async releasePool({ PoolID }: { PoolID: string }): Promise<void> {
    const subnet = formatSubnet(parsePoolId(PoolID).subnet);
    this.#room.chosen6.delete(subnet);
    const known = this.#room.replica.networks.get(networkKey(subnet));
    if (known) await this.#drop(known);
  }

  /** Removes what an earlier life of this process left of creations that it did not survive. */
  async tidy(): Promise<void> {
    for (const network of this.#room.replica.networks.values()) if (!this.#drafts.has(network.key)) await this.#drop(network);
  }

  async #drop({ key }: Network): Promise<void> {
    const isOurs = (network: Network | undefined): boolean => network?.created !== true && network?.maker === this.#room.host;
    if (!isOurs(this.#room.replica.networks.get(key))) return;
    await changeRecord<Network>(this.#room, networkPath(key), (value) => Network.parse(value), (network) => (isOurs(network) ? 'delete' : undefined));
  }

  /** The gateway is everybody's: each host asks for it, and all get the same. */
  async #gateway(pool: Pool, network: Network, wish: string | undefined): Promise<string> {
    const isSecond = family(pool.subnet) === 6;
    const gateway = isSecond ? network.gateway6! : network.gateway;
    if (wish === undefined || wish === gateway) return gateway;
    checkUsable(pool, wish);
    if (isSecond) throw otherGateway(formatSubnet(pool.subnet), gateway);
    const changed = await changeRecord(this.#room, networkPath(network.key), (value) => Network.parse(value), (current) => {
      if (!current || current.gateway === wish) return undefined;
      if (current.created) throw otherGateway(network.subnet, current.gateway);
      return { ...current, gateway: wish };
    });
    return changed!.gateway;
  }

  /** A certain address, `--ip`: ours already, or promised to us, or free. */
  async #lease(pool: Pool, network: Network, ip: string): Promise<string> {
    checkUsable(pool, ip);
    if (ip === network.gateway || ip === network.gateway6) throw new CoatError('address-reserved', `the address ${ip} is the gateway of ${formatSubnet(pool.subnet)}`, { hint: 'choose another --ip' });
    // asked for again by each host that repeats the network; an endpoint that tries is refused later
    if (network.reserved?.includes(ip)) return ip;
    const { host } = this.#room;
    const old = this.#room.local.endpointAt(network.key, ip);
    const inUse = old?.joined && (await linkExists(this.#room.kernel, portName(old.link)));
    // the replica knows of moves as soon as the redirect does, and with the store away it is all there is
    const known = this.#room.replica.claims.get(`${network.key}/${ip}`);
    const mine = known && mayUse(known, host) && !(inUse && known.host === host);
    const settled = mine && !known.spare;
    if (!settled || !this.#room.replica.connected) await this.#claim(network, ip, (claim) => {
      if (!claim) return firstClaim(network.key, ip, host);
      if (!mayUse(claim, host) || (inUse && claim.movingTo !== host)) throw taken(claim);
      return claim.spare ? used(claim) : undefined;
    }).catch((error: unknown) => { if (!mine) throw error; });
    await this.#room.releases.cancel(network.key, ip);
    return ip;
  }

  /** The next free address. Another host may be faster; then the one after it. */
  async #leaseAny(pool: Pool, network: Network, name: string | undefined): Promise<string> {
    const { host, replica } = this.#room;
    const refused = new Set<string>();
    const never = neverGiven(network);
    const subnet = formatSubnet(pool.subnet);
    const isTaken = (address: bigint): boolean => {
      const ip = formatAddress(address);
      return never.has(ip) || refused.has(ip) || replica.claims.has(`${network.key}/${ip}`);
    };
    if (!replica.connected) {
      const spare = this.#room.spares.take(network, pool);
      if (spare !== undefined) return spare;
    }
    for (;;) {
      const address = pickFree(pool, isTaken, this.#last.get(subnet));
      if (address === undefined) throw new CoatError('subnet-full', `all addresses of ${formatSubnet(pool.range)} are in use`, { hint: 'remove containers, or create a network with a larger --subnet' });
      const ip = formatAddress(address);
      try {
        // with the MAC it will have unless the user names one, so that its endpoint needs no second write; with two addresses it needs one anyway
        const early = network.subnet6 === undefined ? { mac: endpointMac(ip, macsOf(this.#room, network, ip)) } : {};
        const claim = { ...firstClaim(network.key, ip, host), ...early, ...(name ? { container: name } : {}) };
        replica.note(claimPath(network.key, ip), claim, await this.#room.store.put(claimPath(network.key, ip), claim, 'absent'));
        this.#last.set(subnet, address);
        return ip;
      } catch (error) {
        if (!(error instanceof ConflictError)) throw error;
        refused.add(ip);
      }
    }
  }

  #claim(network: Network, ip: string, decide: (claim: Claim | undefined) => Claim | undefined): Promise<Claim | undefined> {
    return changeRecord(this.#room, claimPath(network.key, ip), (value) => Claim.parse(value), decide);
  }
}

const otherGateway = (subnet: string, gateway: string): CoatError =>
  new CoatError('network-differs', `the network ${subnet} has the gateway ${gateway} on other hosts`, { hint: `use --gateway ${gateway}, or another --subnet` });

/** What {@link REPEATS} says of a network. Records of an earlier version have no number. */
export const numberOf = (network: Network | undefined): string | undefined => network && String(network.number ?? 0);
