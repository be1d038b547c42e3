import { setTimeout as sleep } from 'node:timers/promises';
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { CoatError, explain } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import { Queue } from '../../../driver/host/queue.ts';
import { Host, hostKey } from '../../../driver/overlay/records.ts';
import { changeStored } from '../../../driver/store/change.ts';
import type { Store } from '../../../driver/store/store.ts';
import { giveVote, listMembersNow } from '../etcd/members.ts';
import type { OwnEtcd } from '../etcd/own.ts';
import type { Member, Membership } from '../membership.ts';
import type { PeerRoutes, Peers } from '../peer.ts';
import { VERSION } from '../version.ts';
import type { IdentityKeeper } from './identity.ts';

/** How a host's etcd is. → {@link StoreState} */
export const STATE = '/v1/store/state';
/** To a host that shall keep the store from now on. {@link Enter} → {} */
export const ENTER = '/v1/store/enter';
/** To a host whose part may have changed: it looks. {} → {} */
export const LOOK = '/v1/store/look';
/** What the one who asks is in etcd; a learner that has everything gets its vote. {} → {@link Standing} */
const STANDING = '/v1/store/standing';

/** `id`: what etcd calls it. */
export const Enter = z.object({ authorityKey: z.string(), id: z.string() });
export type Enter = z.infer<typeof Enter>;
export const StoreState = z.object({ version: z.string(), runs: z.boolean(), well: z.boolean() });
const Standing = z.object({ state: z.enum(['gone', 'learner', 'voter']), hosts: z.array(z.string()) });
type Standing = z.infer<typeof Standing>;

/** Between two looks, ms: while it is becoming a member, and then. */
const SOON_MS = 500;
const EVERY_MS = 15_000;
const ASK_MS = 6_000;

export interface RoleOptions {
  membership: Membership;
  identity: IdentityKeeper;
  etcd: OwnEtcd;
  store: Store;
  peers: Peers;
  log: Log;
  signal: AbortSignal;
}

/**
 * This host's part in keeping the store: none, about to, or a member. What it is to be is in its identity, on disk; what it is
 * in etcd the other members say. From these two everything is put right, again and again, so that a crash at any point is
 * nothing special: a learner finishes by itself, and one that was taken out while it was away wipes its copy.
 */
export class StoreRole {
  readonly #options: RoleOptions;
  readonly #queue = new Queue();
  #wake: () => void = () => undefined;

  constructor(options: RoleOptions) {
    this.#options = options;
  }

  /** Whether it has the store and the authority's key. */
  get keeps(): boolean {
    return this.#options.identity.now.store === 'member';
  }

  offer(routes: PeerRoutes): void {
    const { etcd } = this.#options;
    routes.call(STATE, async () => ({ version: VERSION, runs: etcd.runs, well: await etcd.well() }));
    routes.call(ENTER, (body) => this.#enter(Enter.parse(body)));
    routes.call(LOOK, async () => this.#wake());
    routes.call(STANDING, (_body, from) => this.#standingOf(from));
  }

  /** Returns when the store of this host answers, if it keeps it. Goes on looking until `signal`. */
  async start(): Promise<void> {
    const first = this.look().catch((error: unknown) => this.#options.log.error({ err: error }, 'the store of this host did not start; it is tried again'));
    void first.then(() => this.#keepLooking());
    await first;
  }

  /** Puts right what is not as it should be. */
  look(): Promise<void> {
    return this.#queue.run(() => this.#look());
  }

  async #keepLooking(): Promise<void> {
    const { signal, identity, log } = this.#options;
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => (this.#wake = resolve));
      await Promise.race([woken, sleep(identity.now.store === 'entering' ? SOON_MS : EVERY_MS, undefined, { signal, ref: false }).catch(() => undefined)]);
      if (!signal.aborted) await this.look().catch((error: unknown) => log.warn({ reason: explain(error) }, "this host's part in keeping the store could not be looked at"));
    }
  }

  async #look(): Promise<void> {
    const { identity, etcd, membership, log } = this.#options;
    const { store: role, external } = identity.now;
    if (external !== undefined) return this.#lookAtRecord();
    if (role === undefined) {
      if (etcd.runs || (await etcd.hasData())) await etcd.wipe();
      return;
    }
    if (role === 'member' && !etcd.runs) {
      // without its data one that has others is nobody: to begin anew beside them would make two stores
      const alone = membership.storeHosts().every(({ name }) => name === membership.me.name);
      if (alone || (await etcd.hasData())) await etcd.start();
      else log.error({ hint: `on another host: docker coat demote ${membership.me.name}, and promote it again` }, 'the data of the store is gone from this host, which therefore does not keep it');
    }
    const said = await this.#ask();
    if (said?.state === 'gone') await this.#drop();
    else if (said !== undefined && role === 'entering') await this.#goOn(said);
    if (role === 'member' && said?.state !== 'gone' && etcd.runs) await this.#straighten();
  }

  /** Another member lets this host keep the store. The key proves it: no other host has it. Asked again, it goes on with what it has begun. */
  #enter({ authorityKey, id }: Enter): Promise<object> {
    return this.#queue.run(async () => {
      const { identity, etcd, membership, store, log } = this.#options;
      if (!fits(authorityKey, identity.now.authority)) throw new CoatError('bad-request', "this is not the key of the cluster's authority");
      if (identity.now.external !== undefined) {
        await identity.change({ authorityKey, store: 'member' });
        await noteStore(store, membership.me.name, 'member');
        return {};
      }
      if (identity.now.store !== undefined && identity.now.storeId === id) return {};
      // what may be there is of another time
      await etcd.wipe();
      await identity.change({ authorityKey, store: 'entering', storeId: id });
      log.info('this host is about to keep the store');
      this.#wake();
      return {};
    });
  }

  /** Where the store is an etcd of others, the part is to have the authority's key, and the record says who has it. */
  async #lookAtRecord(): Promise<void> {
    const { identity, store, membership } = this.#options;
    if (identity.now.store === undefined) return;
    const record = await store.get(hostKey(membership.me.name));
    if (record !== undefined && Host.parse(record.value).store === undefined) await identity.change({ store: undefined, authorityKey: undefined });
  }

  async #goOn({ state, hosts }: Standing): Promise<void> {
    const { identity, etcd, log } = this.#options;
    // its start is not waited for: a learner answers to nobody
    if (!etcd.runs) etcd.start(hosts).catch((error: unknown) => log.warn({ reason: explain(error) }, 'etcd takes its time'));
    if (state !== 'voter') return;
    await identity.change({ store: 'member' });
    await noteStore(this.#options.store, this.#options.membership.me.name, 'member');
    log.info('this host keeps the store');
  }

  async #drop(): Promise<void> {
    const { identity, etcd, membership, store, log } = this.#options;
    log.info('this host does not keep the store any more');
    await identity.change({ store: undefined, storeId: undefined, authorityKey: undefined });
    await etcd.wipe();
    await noteStore(store, membership.me.name, undefined);
  }

  /** What another member says of this host; `undefined` where there is none that can tell. Those known to keep the store are asked first. */
  async #ask(): Promise<Standing | undefined> {
    const { membership, peers, identity, etcd } = this.#options;
    const keepers = membership.all().filter(({ store }) => store !== undefined);
    // one that is alone and well has nobody to ask
    if (identity.now.store === 'member' && keepers.length < 2 && (await etcd.well())) return undefined;
    const asked = [...keepers, ...membership.all()];
    for (const name of new Set(asked.map((member) => member.name))) {
      if (name === membership.me.name) continue;
      const said = await peers.get(name).call(STANDING, {}, { timeout: ASK_MS }).then((answer) => Standing.parse(answer), () => undefined);
      if (said !== undefined) return said;
    }
    return undefined;
  }

  async #standingOf(from: string): Promise<Standing> {
    const { etcd, membership } = this.#options;
    if (!etcd.runs || !this.keeps) throw keepsNot(membership.me.name, membership.storeHosts());
    const members = await listMembersNow(etcd.client);
    const hosts = members.map(({ host }) => host);
    const member = members.find(({ host }) => host === from);
    if (member === undefined) return { state: 'gone', hosts };
    const voter = !member.learner || (await giveVote(etcd.client, member.id));
    return { state: voter ? 'voter' : 'learner', hosts };
  }

  /** The hosts' records say of each whether it is a member, for those who cannot ask etcd. */
  async #straighten(): Promise<void> {
    const { etcd, membership, store } = this.#options;
    const voters = (await listMembersNow(etcd.client)).filter(({ learner }) => !learner).map(({ host }) => host);
    for (const { name, store: noted } of membership.all()) {
      if (voters.includes(name) ? noted !== 'member' : noted === 'member') await noteStore(store, name, voters.includes(name) ? 'member' : undefined);
    }
  }
}

/** Notes in a host's record whether it keeps the store. */
export async function noteStore(store: Store, host: string, noted: Host['store']): Promise<void> {
  await changeStored(store, hostKey(host), (value) => Host.parse(value), (current) => {
    if (current === undefined || current.store === noted) return undefined;
    const { store: _old, ...rest } = current;
    return noted === undefined ? rest : { ...rest, store: noted };
  });
}

export function keepsNot(host: string, keepers: readonly Member[]): CoatError {
  return new CoatError('keeps-not', `host ${host} does not keep the store`, { hint: `do it on ${keepers.map(({ name }) => name).join(' or ') || 'a host that does'}` });
}

function fits(key: string, certificate: string): boolean {
  try {
    return createPublicKey(createPrivateKey(key)).equals(new X509Certificate(certificate).publicKey);
  } catch {
    return false;
  }
}
