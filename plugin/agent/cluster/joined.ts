import { codeOf, CoatError } from '../../../driver/host/errors.ts';
import { hostKey } from '../../../driver/overlay/records.ts';
import type { Store } from '../../../driver/store/store.ts';
import type { Peer } from '../peer.ts';
import type { Common } from '../settings.ts';
import { offerAuthority } from './authority.ts';
import { type Cluster, type ClusterWork, type Parts, unlessSame } from './cluster.ts';
import type { IdentityKeeper } from './identity.ts';
import { adviceOn } from './keeping.ts';
import type { Members } from './members.ts';
import { Promotion } from './promotion.ts';
import { certificates, fingerprint } from './proof.ts';
import { keepCertificate } from './renewal.ts';
import { claimsOf, dropClaims, PING_MS, Removal } from './removal.ts';
import { StoreRole } from './role.ts';
import { createToken, formatToken } from './tokens.ts';

/** A cluster that hosts join and leave: its members are the records of the hosts. */
export function joinedCluster(identity: IdentityKeeper, members: Members, common: Common): Cluster {
  const { me, first, external } = identity.now;
  return {
    membership: members,
    security: certificates(() => identity.now, members.find.bind(members)),
    common,
    external,
    // only the first host makes its record itself, while it is the only one: any other's is gone when the host was removed
    record: (current, facts) => {
      if (current === undefined && (me.name !== first.name || identity.now.store === undefined || members.all().length > 1)) return undefined;
      // where the store is not ours, its record alone says who has the authority's key
      const store = external === undefined || current === undefined ? identity.now.store : current.store;
      return unlessSame(current, { ...(current ?? me), ...facts, ...(store && { store }) });
    },
    attach(parts) {
      const { server, peers, routes, driver, etcd, store, log, signal } = parts;
      driver.replica.onChange(() => {
        // one that has never heard of the store knows nothing, and that is not "nobody"
        if (driver.replica.revision > 0) members.replace(driver.replica.hosts.values());
      });
      members.onChange(() => {
        server.dropStrangers();
        peers.dropStrangers();
        void etcd.follow();
      });
      offerAuthority(routes, { membership: members, identity: () => identity.now, common, store, log });
      void keepCertificate({
        identity: () => identity.now,
        take: async (certificate) => {
          await identity.change({ certificate });
          server.renew();
        },
        authorities: () => members.storeHosts().filter(({ name }) => name !== me.name).map(({ name }) => peers.get(name)),
        log,
        signal,
      });
      const options = { membership: members, identity, etcd, store, peers, log };
      const role = new StoreRole({ ...options, signal });
      const promotion = new Promotion({ ...options, role });
      role.offer(routes);
      promotion.offer(routes);
      const removal = new Removal({ membership: members, role, promotion, store, peers, external: external !== undefined });
      removal.offer(routes);
      return work({ identity, members, common, role, promotion, removal }, parts);
    },
  };
}

interface Insides {
  identity: IdentityKeeper;
  members: Members;
  common: Common;
  role: StoreRole;
  promotion: Promotion;
  removal: Removal;
}

function work({ identity, members, common: { port }, role, promotion, removal }: Insides, { store, peers }: Parts): ClusterWork {
  const { me } = members;
  const others = (): Peer[] => members.storeHosts().filter(({ name }) => name !== me.name).map(({ name }) => peers.get(name));
  const answered = (hosts: string[]): { hosts: string[]; advice?: string } => {
    const advice = identity.now.external === undefined ? adviceOn(hosts.length) : undefined;
    return { hosts, ...(advice !== undefined && { advice }) };
  };
  return {
    startStore: () => role.start(),
    promote: async (host) => answered(await promotion.promote(host)),
    demote: async (host) => answered(await promotion.demote(host)),
    async token(ttl) {
      const secret = await createToken(store, ttl);
      const hosts = members.storeHosts().flatMap(({ address, key }) => (key === undefined ? [] : [{ address, key }]));
      return { token: formatToken({ hosts, port, fingerprint: fingerprint(identity.now.authority), secret }), expires: Date.now() + ttl };
    },
    remove: (name, force) => removal.remove(name, force),
    async mayLeave() {
      const hosts = await store.list('hosts/').catch(async (error: unknown) => {
        if (!(await isShutOut(others()))) throw error;
        throw new CoatError('not-a-member', 'the cluster does not take this host for one of its own any more', { hint: 'docker coat leave --force' });
      });
      const rest = hosts.entries.map(({ key }) => key.slice('hosts/'.length)).filter((name) => name !== me.name);
      if (role.keeps && rest.length > 0) await promotion.mayDemote(me.name);
      const claims = (await claimsOf(store, me.name)).map(({ claim }) => claim).filter(({ spare }) => !spare);
      const second = new Set(claims.map(({ ip6 }) => ip6));
      const own = claims.filter(({ ip }) => !second.has(ip)).map(({ container, ip }) => container ?? ip);
      if (own.length > 0) {
        throw new CoatError('in-use', `containers of this host are on networks of the cluster: ${own.join(', ')}`, { hint: 'move them (docker coat migrate), disconnect them, or stop them' });
      }
    },
    async signOff() {
      if (role.keeps && others().length > 0) await promotion.demote(me.name);
      await dropClaims(store, me.name);
      if (identity.now.external !== undefined && (await store.list('hosts/')).entries.every(({ key }) => key === hostKey(me.name))) await emptyStore(store);
      await store.delete(hostKey(me.name), 'any').catch(async (error: unknown) => {
        // the cluster may have shut this host out before it heard the answer
        if (!(await isShutOut(others()))) throw error;
      });
    },
  };
}

/** Who leaves last leaves nothing in an etcd of others. */
async function emptyStore(store: Store): Promise<void> {
  for (const { key } of (await store.list('')).entries) await store.delete(key, 'any');
}

/** Whether another host takes this one for a member no longer. */
async function isShutOut(peers: readonly Peer[]): Promise<boolean> {
  const shut = await Promise.all(peers.map((peer) => isShutOutOf(peer)));
  return shut.includes(true);
}

/** The first question may go to a connection that it has just closed. */
async function isShutOutOf(peer: Peer): Promise<boolean> {
  for (let tries = 1; tries <= 3; tries += 1) {
    try {
      await peer.call('/v1/ping', {}, { timeout: PING_MS });
      return false;
    } catch (error) {
      if (codeOf(error) === 'not-a-member') return true;
    }
  }
  return false;
}
