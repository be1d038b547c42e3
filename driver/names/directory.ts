import { addressesOf, type Claim, type Network } from '../overlay/records.ts';
import { parseAddress } from '../ipam/address.ts';

/** What names are found in. */
export interface NameRecords {
  networks: ReadonlyMap<string, Network>;
  claims: ReadonlyMap<string, Claim>;
}

/** What one container may ask for. */
export interface Names {
  /** Addresses of a name, of both families, in lower case and without a dot at its end. @returns `undefined` where no container has it */
  addresses(name: string): string[] | undefined;
  /** The name of the container at an address. */
  nameOf(ip: string): string | undefined;
}

interface Index {
  /** Addresses by name. */
  names: Map<string, string[]>;
  /** The claims of endpoints by each of their addresses. */
  claims: Map<string, Claim>;
}

/**
 * The names of the cluster's containers, computed from the claims when somebody asks. A container is found by those
 * that share a network with it, as `name` and as `name.network`, as in Docker itself.
 */
export class Directory {
  readonly #records: NameRecords;
  readonly #indexes = new Map<string, Index>();

  constructor(records: NameRecords) {
    this.#records = records;
  }

  /** The records have changed. */
  forget(): void {
    this.#indexes.clear();
  }

  /** @param keys of the networks a container is on; asked again for every question, since it may join another */
  of(keys: () => readonly string[]): Names {
    return { addresses: (name) => this.#addresses(keys(), name), nameOf: (ip) => this.#nameOf(keys(), ip) };
  }

  #addresses(keys: readonly string[], name: string): string[] | undefined {
    const found = new Set(keys.flatMap((key) => this.#index(key).names.get(name) ?? []));
    return found.size > 0 ? [...found] : undefined;
  }

  #nameOf(keys: readonly string[], ip: string): string | undefined {
    for (const key of keys) {
      const name = this.#index(key).claims.get(ip)?.names?.[0];
      if (name !== undefined) return [name, this.#records.networks.get(key)?.name].filter(Boolean).join('.');
    }
    return undefined;
  }

  #index(key: string): Index {
    const known = this.#indexes.get(key);
    if (known) return known;
    const index: Index = { names: new Map(), claims: new Map() };
    const network = this.#records.networks.get(key)?.name;
    const claims = [...this.#records.claims.values()].filter((claim) => claim.network === key && claim.names !== undefined);
    claims.sort((a, b) => (parseAddress(a.ip) < parseAddress(b.ip) ? -1 : 1));
    for (const claim of claims) {
      const [addresses, { names }] = [addressesOf(claim), claim];
      const all = new Set((names ?? []).flatMap((name) => (network === undefined ? [name] : [name, `${name}.${network}`])).map((name) => name.toLowerCase()));
      for (const name of all) index.names.set(name, [...(index.names.get(name) ?? []), ...addresses]);
      for (const ip of addresses) index.claims.set(ip, claim);
    }
    this.#indexes.set(key, index);
    return index;
  }
}
