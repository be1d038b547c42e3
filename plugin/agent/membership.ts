import { CoatError } from '../../driver/host/errors.ts';

/** A host of the cluster. */
export interface Member {
  name: string;
  /** Underlay address, IPv4 or on all hosts IPv6: where its agent listens, and its VTEP. */
  address: string;
  /** SHA-256 of the public key it proves its name with, hex; absent where one secret is all that is proved. */
  key?: string | undefined;
  /** Whether it keeps the store, or is about to. */
  store?: 'entering' | 'member' | undefined;
}

/** Who belongs to the cluster. */
export interface Membership {
  readonly me: Member;
  /** All hosts, this one included. */
  all(): Member[];
  find(name: string): Member | undefined;
  /** The hosts whose agents run etcd, as last heard of. */
  storeHosts(): Member[];
}

/**
 * Members as the settings name them, the same on every host; the first one runs etcd.
 *
 * @throws CoatError `unknown-host` when `me` is not among them
 */
export function staticMembership(me: string, hosts: readonly Member[]): Membership {
  const find = (name: string): Member | undefined => hosts.find((host) => host.name === name);
  const self = find(me);
  if (self === undefined || hosts[0] === undefined) throw unknownHost(me);
  const first = hosts[0];
  return { me: self, all: () => [...hosts], find, storeHosts: () => [first] };
}

export function unknownHost(name: string): CoatError {
  return new CoatError('unknown-host', `there is no host "${name}" in this cluster`, { hint: 'docker coat status lists the hosts' });
}
