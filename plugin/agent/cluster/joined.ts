import { codeOf, CoatError } from '../../../driver/host/errors.ts';
import { Claim, hostKey } from '../../../driver/overlay/records.ts';
import { ConflictError, type Store } from '../../../driver/store/store.ts';
import { unknownHost } from '../membership.ts';
import type { Peer } from '../peer.ts';
import type { Common } from '../settings.ts';
import { offerAuthority } from './authority.ts';
import { type Cluster, type ClusterWork, type Parts, unlessSame } from './cluster.ts';
import type { Identity, IdentityFile } from './identity.ts';
import type { Members } from './members.ts';
import { certificates, fingerprint } from './proof.ts';
import { keepCertificate } from './renewal.ts';
import { createToken, formatToken } from './tokens.ts';

/** A host that answers within this is not dead; ms. */
const PING_MS = 3_000;

/** A cluster that hosts join and leave: its members are the records of the hosts. */
export function joinedCluster(first: Identity, file: IdentityFile, members: Members, common: Common): Cluster {
  let identity = first;
  const { me } = identity;
  const find = members.find.bind(members);
  return {
    membership: members,
    security: certificates(() => identity, find),
    common,
    // only the first host makes its record itself: any other's is gone when the host was removed
    record: (current, facts) => {
      if (current === undefined && me.name !== identity.first.name) return undefined;
      return unlessSame(current, { ...(current ?? me), ...facts });
    },
    attach(parts) {
      const { server, peers, routes, driver, store, log, signal } = parts;
      driver.replica.onChange(() => {
        // one that has never heard of the store knows nothing, and that is not "nobody"
        if (driver.replica.revision > 0) members.replace(driver.replica.hosts.values());
      });
      members.onChange(() => {
        server.dropStrangers();
        peers.dropStrangers();
      });
      const authority = identity.authorityKey === undefined ? undefined : { certificate: identity.authority, key: identity.authorityKey };
      if (authority !== undefined) offerAuthority(routes, { me: me.name, authority, store, log });
      void keepCertificate({
        identity: () => identity,
        take: async (certificate) => {
          identity = { ...identity, certificate };
          await file.write(identity);
          server.renew();
        },
        first: () => peers.get(identity.first.name),
        log,
        signal,
      });
      return work(identity, common, parts);
    },
  };
}

function work({ me, first, authority }: Identity, { port }: Common, { store, peers }: Parts): ClusterWork {
  return {
    async token(ttl) {
      const secret = await createToken(store, ttl);
      return { token: formatToken({ address: first.address, port, fingerprint: fingerprint(authority), secret }), expires: Date.now() + ttl };
    },
    async remove(name, force) {
      if (name === me.name) throw new CoatError('own-host', `${name} is this host`, { hint: 'docker coat leave' });
      if (name === first.name) throw new CoatError('first-host', `host ${name} keeps the store and the authority of the cluster and cannot be removed`);
      if ((await store.get(hostKey(name))) === undefined) throw unknownHost(name);
      const lives = !force && (await peers.get(name).call('/v1/ping', {}, { timeout: PING_MS }).then(() => true, () => false));
      if (lives) throw new CoatError('host-lives', `host ${name} answers`, { hint: `run there: docker coat leave; or, to remove it all the same: docker coat rm --force ${name}` });
      // shut out first, so that it cannot claim anew what is taken from it
      await store.delete(hostKey(name), 'any');
      await dropClaims(store, name);
    },
    async mayLeave() {
      const hosts = await store.list('hosts/').catch(async (error: unknown) => {
        if (me.name === first.name || !(await isShutOut(peers.get(first.name)))) throw error;
        throw new CoatError('not-a-member', 'the cluster does not take this host for one of its own any more', { hint: 'docker coat leave --force' });
      });
      const others = hosts.entries.map(({ key }) => key.slice('hosts/'.length)).filter((name) => name !== me.name);
      if (me.name === first.name && others.length > 0) {
        throw new CoatError('first-host', `host ${me.name} keeps the store and the authority of the cluster, and ${others.join(', ')} still need it`, { hint: 'it has to leave last' });
      }
      const claims = (await claimsOf(store, me.name)).map(({ claim }) => claim).filter(({ spare }) => !spare);
      const second = new Set(claims.map(({ ip6 }) => ip6));
      const own = claims.filter(({ ip }) => !second.has(ip)).map(({ container, ip }) => container ?? ip);
      if (own.length > 0) {
        throw new CoatError('in-use', `containers of this host are on networks of the cluster: ${own.join(', ')}`, { hint: 'move them (docker coat migrate), disconnect them, or stop them' });
      }
    },
    async signOff() {
      await dropClaims(store, me.name);
      await store.delete(hostKey(me.name), 'any').catch(async (error: unknown) => {
        // the cluster may have shut this host out before it heard the answer
        if (!(await isShutOut(peers.get(first.name)))) throw error;
      });
    },
  };
}

/** Whether a host takes this one for a member no longer. The first question may go to a connection that it has just closed. */
async function isShutOut(peer: Peer): Promise<boolean> {
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

async function claimsOf(store: Store, host: string): Promise<{ key: string; revision: number; claim: Claim }[]> {
  const all = (await store.list('claims/')).entries.map(({ key, revision, value }) => ({ key, revision, claim: Claim.parse(value) }));
  return all.filter(({ claim }) => claim.host === host);
}

/** Gives the addresses of a host back. One that changes at this moment has a new owner. */
async function dropClaims(store: Store, host: string): Promise<void> {
  for (const { key, revision } of await claimsOf(store, host)) {
    await store.delete(key, revision).catch((error: unknown) => {
      if (!(error instanceof ConflictError)) throw error;
    });
  }
}
