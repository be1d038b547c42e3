import { codeOf, CoatError, explain } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import { Queue } from '../../../driver/host/queue.ts';
import { until } from '../../../driver/host/until.ts';
import { Host } from '../../../driver/overlay/records.ts';
import { type Store, StoreAwayError } from '../../../driver/store/store.ts';
import { addLearner, type EtcdMember, listMembersNow, moveMember, removeMember } from '../etcd/members.ts';
import type { OwnEtcd } from '../etcd/own.ts';
import { type Membership, unknownHost } from '../membership.ts';
import type { PeerRoutes, Peers } from '../peer.ts';
import { VERSION } from '../version.ts';
import type { IdentityKeeper } from './identity.ts';
import { checkDemotion, checkPromotion, type Electorate } from './keeping.ts';
import { ENTER, keepsNot, LOOK, noteStore, type StoreRole, STATE, StoreState } from './role.ts';

/** A member asks another one to be taken out. {} → {} */
const DEMOTE = '/v1/store/demote';

const ASK_MS = 5_000;
/** etcd wants to have seen all its members for five seconds before it takes another one; ms. */
const ADD_MS = 20_000;
/** An election takes a second or two. */
const RETRY = { timeout: 8_000, every: 250 };
/** How long a host may take to get a copy of the store, ms. */
const COPY_MS = 60_000;

export interface PromotionOptions {
  membership: Membership;
  identity: IdentityKeeper;
  role: StoreRole;
  etcd: OwnEtcd;
  store: Store;
  peers: Peers;
  log: Log;
}

/** Lets hosts keep the store, and not keep it any more: led by a host that does. */
export class Promotion {
  readonly #options: PromotionOptions;
  readonly #queue = new Queue();

  constructor(options: PromotionOptions) {
    this.#options = options;
  }

  offer(routes: PeerRoutes): void {
    // a host may ask that for itself alone
    routes.call(DEMOTE, async (_body, from) => this.demote(from));
  }

  /** @returns who keeps the store now. @throws CoatError why not: then all is as before */
  promote(host: string): Promise<string[]> {
    return this.#queue.run(async () => {
      const { membership, identity, peers, etcd } = this.#options;
      this.#mustKeep();
      if (membership.find(host) === undefined) throw unknownHost(host);
      const electorate = await this.#electorate();
      checkPromotion(host, electorate);
      const { version } = StoreState.parse(await peers.get(host).call(STATE, {}, { timeout: ASK_MS }));
      if (version !== VERSION) throw new CoatError('other-version', `host ${host} has coat ${version}, and this one ${VERSION}`, { hint: 'install the same version of the plugin on all hosts' });
      if (identity.now.external !== undefined) {
        await peers.get(host).call(ENTER, { authorityKey: identity.now.authorityKey, id: host }, { timeout: ASK_MS });
        return this.#voters();
      }
      const stale = electorate.members.find((member) => member.host === host);
      if (stale !== undefined) await removeMember(etcd.client, stale.id);
      await this.#take(host);
      return this.#voters();
    });
  }

  /** @returns who keeps the store now. @throws CoatError why not */
  demote(host: string): Promise<string[]> {
    return this.#queue.run(async () => {
      const { membership, identity, peers, role } = this.#options;
      this.#mustKeep();
      const electorate = await this.#electorate();
      // one that has died on its way in may be noted only
      if (membership.find(host)?.store === 'entering' && !electorate.members.some((member) => member.host === host)) return this.#note(host);
      checkDemotion(host, electorate);
      if (identity.now.external !== undefined) {
        const rest = await this.#note(host);
        await role.look();
        return rest;
      }
      if (host === membership.me.name) {
        const other = electorate.members.find((member) => !member.learner && member.host !== host && electorate.well.has(member.host));
        await peers.get(other!.host).call(DEMOTE, {}, { timeout: ADD_MS });
        await role.look();
        return electorate.members.filter((member) => !member.learner && member.host !== host).map((member) => member.host);
      }
      await until(`etcd to let ${host} go`, () => this.#remove(host), RETRY);
      return this.#note(host, electorate.well.has(host));
    });
  }

  /** Whether a host could be taken out. @throws CoatError why not */
  async mayDemote(host: string): Promise<void> {
    checkDemotion(host, await this.#electorate());
  }

  async #take(host: string): Promise<void> {
    const { identity, store, peers, log } = this.#options;
    // noted first: all members let in who is noted, also when none of them can ask etcd
    await noteStore(store, host, 'entering');
    try {
      await until(`etcd to take ${host}`, () => this.#add(host), { timeout: ADD_MS, every: 500 });
      const id = (await this.#list()).find((member) => member.host === host)?.id;
      // asked again where no answer comes: its agent may be starting anew at this moment
      await until(`an answer of ${host}`, () => peers.get(host).call(ENTER, { authorityKey: identity.now.authorityKey, id }, { timeout: ASK_MS }), { timeout: ADD_MS, every: 500 });
      await this.#copied(host);
      await noteStore(store, host, 'member');
      log.info({ host }, 'a host keeps the store now');
    } catch (error) {
      log.warn({ host, reason: explain(error) }, 'a host does not come to keep the store: taken back');
      await this.#takeBack(host).catch((second: unknown) => log.error({ host, reason: explain(second) }, 'it could not be taken back yet'));
      throw new CoatError('not-promoted', `host ${host} did not come to keep the store: ${explain(error)}`, { hint: 'all is as before; the log of its agent says more' });
    }
  }

  /** Waits for its vote, for as long as it lives. */
  async #copied(host: string): Promise<void> {
    const died = new AbortController();
    const stop = this.#options.peers.get(host).watch({ destroy: (error) => died.abort(error) });
    try {
      await until(`the copy of the store on ${host}`, async () => (await this.#voters()).includes(host), { timeout: COPY_MS, every: 200, signal: died.signal });
    } finally {
      stop();
    }
  }

  /** @returns false where it has to be tried again. An answer that did not come may have been a yes. */
  async #add(host: string): Promise<boolean> {
    const { client } = this.#options.etcd;
    if ((await listMembersNow(client)).some((member) => member.host === host)) return true;
    return addLearner(client, host).then(() => true, (error: unknown) => {
      if (codeOf(error) === 'store-away') return false;
      throw error;
    });
  }

  async #takeBack(host: string): Promise<void> {
    const { etcd, store } = this.#options;
    const member = (await listMembersNow(etcd.client)).find((each) => each.host === host);
    // it got its vote in the last moment
    if (member?.learner === false) return noteStore(store, host, 'member');
    await until(`etcd to let ${host} go`, () => this.#remove(host), RETRY);
    await this.#note(host);
  }

  /** @returns false where it has to be tried again. */
  async #remove(host: string): Promise<boolean> {
    const { client } = this.#options.etcd;
    const member = (await listMembersNow(client)).find((each) => each.host === host);
    if (member !== undefined) await removeMember(client, member.id);
    return true;
  }

  /** It is not a member, and now everybody knows. */
  async #note(host: string, tell = true): Promise<string[]> {
    const { store } = this.#options;
    await until(`the record of ${host}`, () => noteStore(store, host, undefined).then(() => true), RETRY);
    // nobody waits for one that has just not answered
    if (tell) await this.#tell(host);
    return this.#voters();
  }

  /** Lets a host look at what it is now. One that does not hear it finds out by itself. */
  async #tell(host: string): Promise<void> {
    const { membership, peers, log } = this.#options;
    if (membership.find(host) === undefined) return;
    await peers.get(host).call(LOOK, {}, { timeout: ASK_MS }).catch((error: unknown) => log.debug({ host, reason: explain(error) }, 'it is not told'));
  }

  async #voters(): Promise<string[]> {
    return (await this.#list()).filter(({ learner }) => !learner).map(({ host }) => host).sort();
  }

  /** Who has the authority's key, where that is all there is to have: by the records. */
  async #keyHolders(): Promise<EtcdMember[]> {
    const hosts = (await this.#options.store.list('hosts/')).entries.map(({ value }) => Host.parse(value));
    return hosts.flatMap(({ name, store }) => (store === 'member' ? [{ id: name, host: name, learner: false }] : []));
  }

  /** After a change there may be an election. @throws StoreAwayError where there is no majority */
  async #list(): Promise<EtcdMember[]> {
    if (this.#options.identity.now.external !== undefined) return this.#keyHolders();
    try {
      return await until('the members of etcd', () => listMembersNow(this.#options.etcd.client), RETRY);
    } catch (error) {
      throw error instanceof Error && error.cause instanceof StoreAwayError ? error.cause : error;
    }
  }

  async #electorate(): Promise<Electorate> {
    const { membership, identity, peers, etcd } = this.#options;
    let members = await this.#list();
    const nameless = members.find(({ host }) => host === '');
    if (nameless !== undefined) {
      // this one, alone until now, from the time before there could be more
      await moveMember(etcd.client, nameless.id, membership.me.name);
      members = await this.#list();
    }
    const isWell = async ({ host }: EtcdMember): Promise<string[]> => {
      if (host === membership.me.name) return [host];
      const state = StoreState.parse(await peers.get(host).call(STATE, {}, { timeout: ASK_MS }));
      return state.well || identity.now.external !== undefined ? [host] : [];
    };
    const well = await Promise.all(members.map((member) => isWell(member).catch(() => [])));
    return { members, well: new Set(well.flat()) };
  }

  #mustKeep(): void {
    const { membership, role } = this.#options;
    if (!role.keeps) throw keepsNot(membership.me.name, membership.storeHosts());
  }
}
