import { isDeepStrictEqual } from 'node:util';
import type { Driver } from '../../../driver/driver.ts';
import { CoatError } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import type { Host } from '../../../driver/overlay/records.ts';
import type { Store } from '../../../driver/store/store.ts';
import type { NewToken, StoreHosts } from '../api.ts';
import type { OwnEtcd } from '../etcd/own.ts';
import type { External } from './identity.ts';
import { type Membership, staticMembership } from '../membership.ts';
import type { PeerDirectory } from '../peers/peers.ts';
import type { RouteTable } from '../peers/routes.ts';
import type { PeerServer } from '../peers/server.ts';
import { presharedKey, type Security } from '../peers/tls.ts';
import type { Common, Settings } from '../settings.ts';

/** What a cluster works with while the agent lives. */
export interface Parts {
  store: Store;
  driver: Driver;
  etcd: OwnEtcd;
  peers: PeerDirectory;
  server: PeerServer;
  routes: RouteTable;
  log: Log;
  /** Aborted when the agent ends. */
  signal: AbortSignal;
}

/** What can be asked of a cluster. */
export interface ClusterWork {
  /** Starts the store, where this host keeps it. Returns when it answers. */
  startStore(): Promise<void>;
  /** Lets a host keep the store; or not any more. @returns who keeps it now */
  promote(host: string): Promise<StoreHosts>;
  demote(host: string): Promise<StoreHosts>;
  /** @param ttl ms */
  token(ttl: number): Promise<NewToken>;
  /** Takes a dead host out; with `force` also one that lives. */
  remove(host: string, force: boolean): Promise<void>;
  /** Resolves if nothing stands against this host leaving. @throws CoatError what does */
  mayLeave(): Promise<void>;
  /** The cluster does not know this host any more. */
  signOff(): Promise<void>;
}

/** What a host says of itself. */
export type Facts = Pick<Host, 'version' | 'routes'>;

/** How this host belongs to a cluster. */
export interface Cluster {
  readonly membership: Membership;
  readonly security: Security;
  readonly common: Common;
  /** An etcd of others, where that is the store. */
  readonly external: External | undefined;
  /** What this host's record should be. @returns `undefined` to leave it as it is */
  record(current: Host | undefined, facts: Facts): Host | undefined;
  /** Called once, before anything is started. */
  attach(parts: Parts): ClusterWork;
}

/** A cluster whose hosts the settings name, the same on all of them. */
export function staticCluster(settings: Settings): Cluster {
  const membership = staticMembership(settings.host, settings.hosts);
  const refuse = (): Promise<never> => Promise.reject(named());
  return {
    membership,
    security: presharedKey(settings.secret, settings.host, (name) => membership.find(name) !== undefined),
    common: settings,
    external: undefined,
    record: (current, facts) => unlessSame(current, { ...membership.me, ...facts }),
    attach: ({ etcd }) => ({
      startStore: async () => (settings.hosts[0]?.name === settings.host ? etcd.start() : undefined),
      promote: refuse,
      demote: refuse,
      token: refuse,
      remove: refuse,
      mayLeave: refuse,
      signOff: refuse,
    }),
  };
}

/** A record that is as it should be is left alone. */
export const unlessSame = (current: Host | undefined, wanted: Host): Host | undefined => (isDeepStrictEqual(current, wanted) ? undefined : wanted);

export function named(): CoatError {
  return new CoatError('static-cluster', 'the hosts of this cluster are named by the settings of the plugin, COAT_HOSTS', {
    hint: 'to have one that hosts join and leave, disable the plugin and set COAT_HOST, COAT_HOSTS and COAT_SECRET to nothing, on all hosts',
  });
}
