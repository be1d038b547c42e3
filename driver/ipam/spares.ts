import { Queue } from '../host/queue.ts';
import { firstClaim } from '../overlay/claims.ts';
import { Claim, claimPath, type Network } from '../overlay/records.ts';
import { changeRecord } from '../store/change.ts';
import { ConflictError, type Store } from '../store/store.ts';
import type { LocalState } from '../network/local.ts';
import type { Replica } from '../store/replica.ts';
import { contains, isUsable, last, formatAddress, parseAddress, parseSubnet, size, type Subnet } from './address.ts';
import { neverGiven, type Pool } from './pool.ts';
import type { Releases } from './releases.ts';

/** How many addresses of each subnet of its engine's networks a host leases in advance. */
const SPARES = 4;
/** The smallest subnet in which some are, addresses: in a smaller one others may need them more. */
const ROOMY = 64n;

interface Parts {
  host: string;
  store: Store;
  replica: Replica;
  local: LocalState;
  releases: Releases;
}

/**
 * Addresses that this host leases before anybody asks, so that containers can start while the store is away: claims with the mark
 * `spare`, taken from the end of the subnet. Nothing of them is in a kernel.
 */
export class Spares {
  readonly #parts: Parts;
  /** Given out while the store was away, and not yet an endpoint. */
  readonly #given = new Set<string>();
  readonly #turn = new Queue();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** An address that is this host's, for a time without the store; `undefined` where none is left. */
  take(network: Network, pool: Pool): string | undefined {
    const free = this.#of(network.key, pool.range).find((ip) => this.#isFree(network.key, ip));
    if (free !== undefined) this.#given.add(`${network.key}/${free}`);
    return free;
  }

  /** Brings the store up to date with what was done without it, and leases what is missing. Needs the store. */
  keep(): Promise<void> {
    return this.#turn.run(() => this.#keep());
  }

  async #keep(): Promise<void> {
    await this.#settle();
    const { host, replica, local } = this.#parts;
    const here = new Set(local.networks.values().map(({ network }) => network.key));
    for (const claim of [...replica.claims.values()]) {
      if (claim.spare && claim.host === host && !here.has(claim.network)) await this.#change(claim, (now) => (now?.spare ? 'delete' : undefined));
    }
    for (const key of here) {
      const network = replica.networks.get(key);
      if (!network?.created) continue;
      const subnets = [network.subnet, ...(network.subnet6 === undefined ? [] : [network.subnet6])].map(parseSubnet);
      for (const subnet of subnets) if (size(subnet) >= ROOMY) await this.#fill(network, subnet);
    }
  }

  /** Endpoints that began without the store get their claim. */
  async #settle(): Promise<void> {
    const { host, replica, local } = this.#parts;
    for (const { key, ip, ip6, mac } of local.endpoints.values()) {
      const settle = async (address: string, known: Partial<Claim>): Promise<void> => {
        const claim = replica.claims.get(`${key}/${address}`);
        if (claim?.spare && claim.host === host) await this.#change(claim, (now) => (now?.spare ? used({ ...now, ...known }) : undefined));
      };
      await settle(ip, { mac, ...(ip6 === undefined ? {} : { ip6 }) });
      if (ip6 !== undefined) await settle(ip6, {});
    }
    this.#given.clear();
  }

  async #fill(network: Network, subnet: Subnet): Promise<void> {
    const { host, store, replica } = this.#parts;
    let missing = SPARES - this.#of(network.key, subnet).length;
    const never = neverGiven(network);
    for (let address = last(subnet); missing > 0 && address > subnet.base; address -= 1n) {
      const ip = formatAddress(address);
      if (!isUsable(subnet, address) || never.has(ip) || replica.claims.has(`${network.key}/${ip}`)) continue;
      const claim = { ...firstClaim(network.key, ip, host), spare: true };
      try {
        replica.note(claimPath(network.key, ip), claim, await store.put(claimPath(network.key, ip), claim, 'absent'));
        missing -= 1;
      } catch (error) {
        // another host has it
        if (!(error instanceof ConflictError)) throw error;
      }
    }
  }

  #of(key: string, range: Subnet): string[] {
    const { host, replica } = this.#parts;
    const spare = [...replica.claims.values()].filter((claim) => claim.spare && claim.host === host && claim.network === key);
    return spare.map(({ ip }) => ip).filter((ip) => contains(range, parseAddress(ip)));
  }

  #isFree(key: string, ip: string): boolean {
    const { local, releases } = this.#parts;
    return !this.#given.has(`${key}/${ip}`) && !local.endpointAt(key, ip) && !local.arrivalAt(key, ip) && !releases.has(key, ip);
  }

  async #change({ network, ip }: Claim, decide: (claim: Claim | undefined) => Claim | 'delete' | undefined): Promise<void> {
    await changeRecord(this.#parts, claimPath(network, ip), (value) => Claim.parse(value), decide);
  }
}

/** A claim that is a spare one no more. */
export function used({ spare: _spare, ...claim }: Claim): Claim {
  return claim;
}
