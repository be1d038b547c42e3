import type { Membership } from '../membership.ts';
import type { Peers } from '../peer.ts';
import type { Connect, Members } from './client.ts';
import { CLIENTS, type OwnEtcd } from './own.ts';

/** A place where etcd may answer. */
interface Place {
  name: string;
  connect: Connect;
}

/**
 * How this agent reaches etcd: at its own, or through the agents of the hosts that keep the store; and when none of those can be
 * reached, through any other, since what is known of them may be old.
 */
export function wayToEtcd(membership: Membership, peers: Pick<Peers, 'get'>, own: Pick<OwnEtcd, 'runs' | 'connect'>): Members {
  return oneOf(() => {
    const { me } = membership;
    const keepers = membership.storeHosts();
    const names = [...keepers, ...membership.all()].map(({ name }) => name).filter((name) => name !== me.name);
    const others = [...new Set(names)].map((name) => ({ name, connect: () => peers.get(name).tunnel(CLIENTS) }));
    return own.runs ? [{ name: me.name, connect: () => own.connect() }, ...others] : others;
  });
}

/** One place after the other, in a circle. @param places as they are now, the preferred one first */
export function oneOf(places: () => readonly Place[]): Members {
  let present: string | undefined;
  const now = (): { all: readonly Place[]; at: number } => {
    const all = places();
    return { all, at: Math.max(0, all.findIndex(({ name }) => name === present)) };
  };
  const moveOn = (): boolean => {
    const { all, at } = now();
    present = all[(at + 1) % all.length]?.name;
    return all.length > 1;
  };
  return {
    moveOn,
    async connect() {
      let last: unknown = new Error('nobody keeps the store');
      for (let tries = now().all.length; tries > 0; tries -= 1) {
        const { all, at } = now();
        try {
          return await all[at]!.connect();
        } catch (error) {
          last = error;
          // another call may have gone on meanwhile
          if (now().all[now().at]?.name === all[at]!.name) moveOn();
        }
      }
      throw last;
    },
  };
}

/** For people. @param urls of an etcd of others, where that is the store */
export function whereIsEtcd(membership: Membership, urls?: readonly string[]): string {
  if (urls !== undefined) return `etcd at ${urls.join(', ')}`;
  const hosts = membership.storeHosts();
  return hosts.length === 1 ? `etcd on ${hosts[0]!.name} (${hosts[0]!.address})` : `etcd on ${hosts.map(({ name }) => name).join(', ') || 'hosts that are not known'}`;
}
