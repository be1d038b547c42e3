import { CoatError } from '../host/errors.ts';
import { linkExists } from '../kernel/veth.ts';
import { firstClaim, mayUse, taken } from '../overlay/claims.ts';
import { chooseVni, portName } from '../overlay/names.ts';
import { Claim, Network, claimPath, networkKey, networkPath } from '../overlay/records.ts';
import { enterNetwork } from '../network/book.ts';
import { changeRecord } from '../store/change.ts';
import { ConflictError } from '../store/store.ts';
import type { Room } from '../network/room.ts';
import type { RequestAddressRequest, RequestPoolRequest } from '../docker/messages.ts';
import { contains, formatAddress, formatSubnet, isUsable, overlap, parseAddress, parseSubnet, withoutLength, type Subnet } from './address.ts';
import { chooseSubnet, formatAddressPool, type AddressPool } from './choose.ts';
import { defaultGateway, makePool, parsePoolId, pickFree, poolId, type Pool } from './pool.ts';
import type { Releases } from './releases.ts';
import { type Spares, used } from './spares.ts';

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
  /** By network key: the address given last, so that it is not given again at once. */
  readonly #last = new Map<string, number>();
  /** Keys of the networks that were drafted since this process began. */
  readonly #drafts = new Set<string>();

  constructor(room: IpamRoom) {
    this.#room = room;
  }

  /**
   * Creates the cluster's record of a network, or finds it there: every engine that has the network
   * asks for the same pool.
   */
  async requestPool({ Pool: subnet, SubPool, V6 }: RequestPoolRequest): Promise<{ PoolID: string; Pool: string }> {
    if (V6) throw new CoatError('no-ipv6', 'a coat network has no IPv6 yet', { hint: 'leave --ipv6 out' });
    if (!subnet && !SubPool) {
      const chosen = makePool((await this.#chooseNetwork()).subnet, undefined);
      return { PoolID: poolId(chosen), Pool: formatSubnet(chosen.subnet) };
    }
    const pool = makePool(subnet ?? undefined, SubPool ?? undefined);
    await this.#networkOf(pool, true);
    return { PoolID: poolId(pool), Pool: formatSubnet(pool.subnet) };
  }

  /** Leases an address, or confirms one. @returns it with its prefix length */
  async requestAddress({ PoolID, Address, Options }: RequestAddressRequest): Promise<{ Address: string }> {
    const pool = parsePoolId(PoolID);
    const network = await this.#networkOf(pool, false);
    const wish = Address ? formatAddress(parseAddress(withoutLength(Address))) : undefined;
    const ours = wish ?? this.#room.offers.at(network.key);
    let ip: string;
    if (Options?.[TYPE] === GATEWAY) ip = await this.#gateway(pool, network, wish);
    else if (ours !== undefined) ip = await this.#lease(pool, network, ours);
    else ip = await this.#leaseAny(pool, network, Options?.[NAME]);
    return { Address: `${ip}/${pool.subnet.length}` };
  }

  /** Gives an address back, unless it meanwhile is another host's. With the store away it is remembered and done later. */
  async releaseAddress({ PoolID, Address }: { PoolID: string; Address: string }): Promise<void> {
    const pool = parsePoolId(PoolID);
    await this.#room.releases.release(networkKey(formatSubnet(pool.subnet)), formatAddress(parseAddress(withoutLength(Address))));
  }

  async #networkOf(pool: Pool, create: boolean): Promise<Network> {
    const { replica, store } = this.#room;
    const subnet = formatSubnet(pool.subnet);
    const key = networkKey(subnet);
    const known = replica.networks.get(key);
    if (known && (!create || !replica.connected)) return known;
    if (create) {
      const mtu = await this.#room.mtu();
      return enterNetwork(this.#room, (networks, number) => {
        const network = networks.get(key);
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
    if (!found) throw new CoatError('unknown-network', `no host knows a network ${subnet}`, { hint: 'create it again: docker network create -d coat --ipam-driver coat --subnet …' });
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
    const known = this.#room.replica.networks.get(networkKey(formatSubnet(parsePoolId(PoolID).subnet)));
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
    if (wish === undefined || wish === network.gateway) return network.gateway;
    this.#check(pool, wish);
    const changed = await changeRecord(this.#room, networkPath(network.key), (value) => Network.parse(value), (current) => {
      if (!current || current.gateway === wish) return undefined;
      if (current.created) throw new CoatError('network-differs', `the network ${network.subnet} has the gateway ${current.gateway} on other hosts`, { hint: `use --gateway ${current.gateway}, or another --subnet` });
      return { ...current, gateway: wish };
    });
    return changed!.gateway;
  }

  /** A certain address, `--ip`: ours already, or promised to us, or free. */
  async #lease(pool: Pool, network: Network, ip: string): Promise<string> {
    this.#check(pool, ip);
    if (ip === network.gateway) throw new CoatError('address-reserved', `the address ${ip} is the gateway of ${network.subnet}`, { hint: 'choose another --ip' });
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
    const never = new Set([network.gateway, ...(network.reserved ?? [])]);
    const isTaken = (address: number): boolean => {
      const ip = formatAddress(address);
      return never.has(ip) || refused.has(ip) || replica.claims.has(`${network.key}/${ip}`);
    };
    if (!replica.connected) {
      const spare = this.#room.spares.take(network, pool);
      if (spare !== undefined) return spare;
    }
    for (;;) {
      const address = pickFree(pool, isTaken, this.#last.get(network.key));
      if (address === undefined) throw new CoatError('subnet-full', `all addresses of ${formatSubnet(pool.range)} are in use`, { hint: 'remove containers, or create a network with a larger --subnet' });
      const ip = formatAddress(address);
      try {
        const claim = { ...firstClaim(network.key, ip, host), ...(name ? { container: name } : {}) };
        replica.note(claimPath(network.key, ip), claim, await this.#room.store.put(claimPath(network.key, ip), claim, 'absent'));
        this.#last.set(network.key, address);
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

  #check(pool: Pool, ip: string): void {
    const address = parseAddress(ip);
    if (!contains(pool.subnet, address) || !isUsable(pool.subnet, address)) {
      throw new CoatError('bad-address', `${ip} is not an address for an interface in ${formatSubnet(pool.subnet)}`);
    }
  }
}
