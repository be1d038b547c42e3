import { z } from 'zod';
import { codeOf, CoatError } from '../../../driver/host/errors.ts';
import { Claim, hostKey } from '../../../driver/overlay/records.ts';
import { ConflictError, type Store } from '../../../driver/store/store.ts';
import { type Membership, unknownHost } from '../membership.ts';
import type { PeerRoutes, Peers } from '../peer.ts';
import type { Promotion } from './promotion.ts';
import { keepsNot, type StoreRole } from './role.ts';

/** Asks a host that keeps the store to take a dead one out. {@link Remove} → {} */
const REMOVE = '/v1/cluster/remove';
const Remove = z.object({ host: z.string() });

/** A host that answers within this is not dead; ms. */
export const PING_MS = 3_000;
/** Taking out one that keeps the store takes some tries; ms. */
const ASK_MS = 40_000;

export interface RemovalOptions {
  membership: Membership;
  role: StoreRole;
  promotion: Promotion;
  store: Store;
  peers: Pick<Peers, 'get'>;
  /** Whether the store is an etcd of others, to which all hosts write by themselves. */
  external: boolean;
}

/**
 * Takes hosts out of the cluster. Only hosts that keep the store may write that down; they do it for others too, if they see
 * for themselves that the host is dead.
 */
export class Removal {
  readonly #options: RemovalOptions;

  constructor(options: RemovalOptions) {
    this.#options = options;
  }

  offer(routes: PeerRoutes): void {
    routes.call(REMOVE, async (body) => {
      const { membership: { me }, role } = this.#options;
      const { host } = Remove.parse(body);
      if (host === me.name) throw lives(host);
      if (!role.keeps) throw keepsNot(me.name, this.#keepers());
      await this.#remove(host, false);
      return {};
    });
  }

  /** @param force also where it answers. @throws CoatError `own-host`, `unknown-host`, `host-lives`, `keeps-not` */
  async remove(host: string, force: boolean): Promise<void> {
    const { membership: { me }, role, external } = this.#options;
    if (host === me.name) throw new CoatError('own-host', `${host} is this host`, { hint: 'docker coat leave' });
    if (role.keeps || external) return this.#remove(host, force);
    await this.#ask(host).catch((error: unknown) => {
      // one that lives is shut out only where the person may do everything anyway
      throw force && codeOf(error) === 'host-lives' ? keepsNot(me.name, this.#keepers().filter(({ name }) => name !== host)) : error;
    });
  }

  async #ask(host: string): Promise<void> {
    const { membership: { me }, store, peers } = this.#options;
    if ((await store.get(hostKey(host))) === undefined) throw unknownHost(host);
    const keepers = this.#keepers().filter(({ name }) => name !== host);
    let last: unknown = keepsNot(me.name, keepers);
    for (const { name } of keepers) {
      try {
        return void (await peers.get(name).call(REMOVE, { host }, { timeout: ASK_MS }));
      } catch (error) {
        last = error;
        if (codeOf(error) !== 'peer-away' && codeOf(error) !== 'keeps-not') throw error;
      }
    }
    throw last;
  }

  async #remove(host: string, force: boolean): Promise<void> {
    const { membership, role, promotion, store, peers } = this.#options;
    if ((await store.get(hostKey(host))) === undefined) throw unknownHost(host);
    const answers = !force && (await peers.get(host).call('/v1/ping', {}, { timeout: PING_MS }).then(() => true, () => false));
    if (answers) throw lives(host);
    if (membership.find(host)?.store !== undefined) {
      if (!role.keeps) throw keepsNot(membership.me.name, this.#keepers().filter(({ name }) => name !== host));
      await promotion.demote(host);
    }
    // shut out first, so that it cannot claim anew what is taken from it
    await store.delete(hostKey(host), 'any');
    await dropClaims(store, host);
  }

  #keepers(): ReturnType<Membership['storeHosts']> {
    return this.#options.membership.storeHosts();
  }
}

const lives = (host: string): CoatError =>
  new CoatError('host-lives', `host ${host} answers`, { hint: `run there: docker coat leave; or, to remove it all the same, on a host that keeps the store: docker coat rm --force ${host}` });

export async function claimsOf(store: Store, host: string): Promise<{ key: string; revision: number; claim: Claim }[]> {
  const all = (await store.list('claims/')).entries.map(({ key, revision, value }) => ({ key, revision, claim: Claim.parse(value) }));
  return all.filter(({ claim }) => claim.host === host);
}

/** Gives the addresses of a host back. One that changes at this moment has a new owner. */
export async function dropClaims(store: Store, host: string): Promise<void> {
  for (const { key, revision } of await claimsOf(store, host)) {
    await store.delete(key, revision).catch((error: unknown) => {
      if (!(error instanceof ConflictError)) throw error;
    });
  }
}
