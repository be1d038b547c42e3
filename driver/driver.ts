import { join } from 'node:path';
import type { Express } from 'express';
import { createApp } from './docker/app.ts';
import { methods } from './docker/methods.ts';
import { explain } from './host/errors.ts';
import type { Log } from './host/log.ts';
import { KeyedQueue, Queue } from './host/queue.ts';
import { familyOf } from './ipam/address.ts';
import { DEFAULT_POOL, parseAddressPool, routesInto, type AddressPool } from './ipam/choose.ts';
import { Ipam } from './ipam/driver.ts';
import { dropOrphans } from './ipam/orphans.ts';
import { Pending, Releases } from './ipam/releases.ts';
import { Spares } from './ipam/spares.ts';
import { createKernel, type Kernel } from './kernel/kernel.ts';
import type { Datagram } from './kernel/packets.ts';
import { destinations, routeMtus } from './kernel/route.ts';
import * as arrivals from './network/arrivals.ts';
import type { ArrivalRequest } from './network/arrivals.ts';
import { deleteEndpoint } from './network/endpoints.ts';
import { LocalState, type Endpoint, type LocalNetwork } from './network/local.ts';
import { Offers } from './network/offers.ts';
import type { Room } from './network/room.ts';
import { Directory } from './names/directory.ts';
import { Responders } from './names/responders.ts';
import { Holds } from './publish/holds.ts';
import { concernsPorts, NOTHING_PUBLISHED, publications } from './publish/plan.ts';
import { keepPorts } from './publish/publish.ts';
import { overlayMtu } from './overlay/mtu.ts';
import { addressesOf } from './overlay/records.ts';
import { DEFAULT_VXLAN_PORT } from './overlay/names.ts';
import { part, type Before } from './overlay/part.ts';
import { plan } from './overlay/plan.ts';
import { createReconciler } from './overlay/reconcile.ts';
import { LocalRecords } from './store/local.ts';
import { Replica } from './store/replica.ts';
import type { Store } from './store/store.ts';

export interface DriverOptions {
  /** This host's name. */
  host: string;
  /** This host's underlay address: its VTEP. */
  address: string;
  store: Store;
  /** Directory of all that has to outlive this process. */
  stateDir: string;
  /** The host's root directory as this process sees it: `/proc/1/root` in a plugin, '' when it is the same. */
  hostRoot: string;
  /** Where the subnets come from that nobody names; the same on all hosts. */
  pool?: AddressPool;
  /** How large a packet has been seen to get to an underlay address, bytes; `undefined` where nobody knows. */
  carries?: (address: string) => number | undefined;
  /** UDP port of the tunnels, the same on all hosts. */
  vxlanPort?: number;
  log: Log;
  observer?: Observer;
  /** By default the network namespace this process is in. */
  kernel?: Kernel;
  /** Between two audits of the kernel, in ms; by default {@link AUDIT_EVERY_MS}, and more where they take long. */
  auditEvery?: number;
}

/** Hears how long things took, ms, and whether they went well. */
export interface Observer {
  /** A call of Docker, such as `NetworkDriver.Join`. */
  called(method: string, ms: number, ok: boolean): void;
  /** A pass of the reconciler. */
  passed(ms: number, ok: boolean): void;
}

export interface Driver {
  /** Docker's plugin protocol, to be served on a unix socket. */
  readonly app: Express;
  readonly replica: Replica;
  /** Reads the local records, follows the store and keeps the kernel as it should be. Works without the store. */
  start(): Promise<void>;
  /** All kernel objects stay and go on forwarding. */
  stop(): Promise<void>;
  /** Resolves when the kernel reflects every record up to `revision`. @throws CoatError `timeout` */
  settled(revision: number, timeout?: number): Promise<void>;
  /** Plumbs an endpoint before Docker asks for it, held. */
  expect(arrival: ArrivalRequest): Promise<void>;
  /** From now on frames for an arrival that reach this host are held, whatever the records say. */
  accept(network: string, ip: string): Promise<void>;
  /** Gives an arrival datagrams ahead of those that are held. @returns how many it could not be given */
  putIn(network: string, ip: string, datagrams: readonly Datagram[]): Promise<number>;
  /** Lets held frames go, in order. */
  release(network: string, ip: string): Promise<void>;
  /** Gives an arrival up; everything plumbed for it is removed. */
  forget(network: string, ip: string): Promise<void>;
  /** Cuts a local endpoint off: its port neither receives nor sends. */
  cut(network: string, ip: string): Promise<{ written: Promise<void> }>;
  uncut(network: string, ip: string): Promise<void>;
  /** Whether this host's engine lets a container of a network have an address of one's choice; see {@link Network}, `chosenOn`. */
  letsChoose(network: string): boolean;
  /** Until it is taken or {@link withdraw}n, this arrival's address goes to the engine's next container that asks for any. */
  offer(network: string, ip: string): Promise<void>;
  withdraw(network: string, ip: string): void;
  /** Frees an address of this host's that no container has any more: Docker's word for it is not heard while the address is about to move. */
  giveBack(network: string, ip: string): Promise<void>;
  /** What fits through the tunnels to all peers now, bytes. */
  mtu(): Promise<number>;
  /** What this host has routes to inside the pool of subnets. */
  routes(): Promise<string[]>;
  /** The networks of this host's engine, with Docker's ids for them. */
  networksOnEngine(): LocalNetwork[];
  /** The endpoints of this host's engine, with Docker's ids for them. */
  endpointsOnEngine(): Endpoint[];
  /**
   * Takes away an endpoint that Docker lost without saying so, and gives its address back. Docker's
   * engine may do that when it dies; only who can ask it knows. Unknown ids are fine.
   */
  discard(endpointId: string): Promise<void>;
  /** Takes back what this host still publishes of containers that have moved away: it leaves the cluster. */
  closePorts(): Promise<void>;
  /** How many things audits found changed by somebody else, and put right. */
  readonly repaired: number;
}

/** Often enough that a deleted entry is a hiccup, seldom enough that nobody sees the cost. In ms. */
const AUDIT_EVERY_MS = 5_000;
/** Between two audits there is at least this many times the processor time that one takes; up to the longest, ms. */
const AUDIT_SHARE = 600;
const LONGEST_AUDIT_EVERY_MS = 60_000;

/** Puts the driver together. Nothing happens before {@link Driver.start}. */
export async function createDriver(options: DriverOptions): Promise<Driver> {
  const { host, address, store, stateDir, log } = options;
  const hostRoot = options.hostRoot.replace(/\/$/, '');
  const vxlanPort = options.vxlanPort ?? DEFAULT_VXLAN_PORT;
  const kernel = options.kernel ?? createKernel();
  const local = new LocalState(stateDir);
  const replica = new Replica({ store, host, file: join(stateDir, 'replica.json'), log });
  const pending = new LocalRecords(join(stateDir, 'releases'), Pending);
  const releases = new Releases({ host, store, replica, local, pending, log });
  const spares = new Spares({ host, store, replica, local, releases });
  const self = { host, address, vxlanPort };
  let leaving = false;
  const none: typeof replica.claims = new Map();
  const published = () => publications({ hosts: replica.hosts, networks: replica.networks, claims: leaving ? none : replica.claims }, local.endpoints.values(), host);
  let planned = NOTHING_PUBLISHED;
  const wanted = () => ({
    plan: plan(replica, local.attachments(replica.networks), self, (planned = published())),
    revision: replica.revision,
  });
  const partOf = (before: Before) => {
    if (concernsPorts(before, replica.claims, local.endpoints.values())) return undefined;
    const found = part(replica, local.attachments(replica.networks), self, before, planned);
    return found && { ...found, revision: replica.revision };
  };
  const reconciler = createReconciler({ kernel, hostRoot, self, wanted, partOf, log, passed: (ms, ok) => options.observer?.passed(ms, ok) });
  const offers = new Offers();
  const pool = options.pool ?? parseAddressPool(DEFAULT_POOL);
  const routes = async (): Promise<string[]> => routesInto(pool, await destinations(kernel));
  const directory = new Directory(replica);
  const responders = new Responders({ askers: () => local.askers(hostRoot), directory, log });
  const holds = new Holds(kernel.netlink !== undefined, log);
  const room: Room = { host, hostRoot, store, replica, local, offers, chosen6: new Set(), kernel, reconciler, responders, holds, published, log };
  const mtu = async (): Promise<number> => {
    const peers = [...replica.hosts.values()].filter(({ name }) => name !== host);
    const seen = peers.flatMap(({ address }) => options.carries?.(address) ?? []);
    return overlayMtu([...(await routeMtus(kernel, peers.map((peer) => peer.address))), ...seen], familyOf(address));
  };
  const ipam = new Ipam({ ...room, releases, spares, mtu, pool, routes });
  const app = createApp(methods(room, ipam), log, (method, ms, ok) => options.observer?.called(method, ms, ok));
  const places = new KeyedQueue();
  let audit: NodeJS.Timeout | undefined;
  let unsubscribe: (() => void) | undefined;

  /** One thing at a time happens to an address. */
  const at = <T>(network: string, ip: string, task: () => Promise<T>): Promise<T> => places.run(`${network}/${ip}`, task);
  const ports = new Queue();
  const quietly = (task: Promise<void>): void => void task.catch((error: unknown) => log.debug({ reason: explain(error) }, 'will be tried again'));

  async function start(): Promise<void> {
    await Promise.all([replica.load(), local.load(log), pending.load(log)]);
    await arrivals.resume(room).catch((error: unknown) => log.error({ reason: explain(error) }, 'what was left half done stays so'));
    quietly(reconciler.now(true));
    await kernel.netlink?.open().catch((error: unknown) => log.warn({ reason: explain(error) }, 'netlink does not work here: ip(8), bridge(8) and tc(8) do everything, more slowly'));
    let wasConnected = false;
    let orphansLeft = local.endpoints.whole && local.arrivals.whole;
    unsubscribe = replica.onChange(({ claims, others }) => {
      directory.forget();
      quietly(others ? reconciler.now(false) : reconciler.changed(claims));
      if (others || replica.connected !== wasConnected || concernsPorts(claims, replica.claims, local.endpoints.values())) quietly(ports.run(() => keepPorts(room)));
      if (replica.connected && !wasConnected) {
        quietly(releases.resume().then(() => spares.keep()));
        quietly(ipam.tidy());
        // once: later on there are none, as nobody can have missed an answer of this agent
        if (orphansLeft) quietly(dropOrphans(room, replica.revision));
        orphansLeft = false;
      }
      wasConnected = replica.connected;
    });
    await replica.start();
    responders.start();
    auditIn(options.auditEvery ?? AUDIT_EVERY_MS);
  }

  /** Where there is much to look at, it is looked at less often, so that audits take the same part of a processor everywhere. */
  function auditIn(ms: number): void {
    audit = setTimeout(() => {
      const before = process.cpuUsage();
      quietly(ports.run(() => keepPorts(room)));
      if (replica.connected) quietly(spares.keep());
      void reconciler.audit().then(() => {
        const { user, system } = process.cpuUsage(before);
        const enough = Math.min(((user + system) / 1000) * AUDIT_SHARE, LONGEST_AUDIT_EVERY_MS);
        if (audit !== undefined) auditIn(options.auditEvery ?? Math.max(AUDIT_EVERY_MS, enough));
      });
    }, ms);
  }

  async function stop(): Promise<void> {
    clearTimeout(audit);
    audit = undefined;
    unsubscribe?.();
    await reconciler.stop();
    await responders.stop();
    holds.close();
    await replica.stop();
    kernel.netlink?.close();
  }

  return {
    app,
    replica,
    start,
    stop,
    settled: (revision, timeout = 5_000) => reconciler.settled(revision, timeout),
    expect: (arrival) => at(arrival.network, arrival.ip, () => arrivals.expect(room, arrival)),
    accept: (network, ip) => at(network, ip, () => arrivals.accept(room, network, ip)),
    putIn: (network, ip, datagrams) => at(network, ip, () => arrivals.putIn(room, network, ip, datagrams)),
    release: (network, ip) => at(network, ip, () => arrivals.release(room, network, ip)),
    forget: (network, ip) => at(network, ip, () => arrivals.forget(room, network, ip)),
    cut: (network, ip) => at(network, ip, () => arrivals.setCut(room, network, ip, true)),
    uncut: (network, ip) => at(network, ip, () => arrivals.setCut(room, network, ip, false).then(({ written }) => written)),
    letsChoose: (network) => replica.networks.get(network)?.chosenOn !== host,
    offer: async (network, ip) => {
      // one that Docker has taken over is no arrival any more
      if (local.arrivalAt(network, ip)) await offers.open(network, ip);
    },
    withdraw: (network, ip) => offers.close(network, ip),
    giveBack: (network, ip) => at(network, ip, () => releases.release(network, ip)),
    mtu,
    routes,
    networksOnEngine: () => local.networks.values(),
    endpointsOnEngine: () => local.endpoints.values(),
    discard: async (id) => {
      const endpoint = local.endpoints.get(id);
      if (!endpoint) return;
      await deleteEndpoint(room, id);
      for (const ip of addressesOf(endpoint)) await releases.release(endpoint.key, ip);
    },
    closePorts: async () => {
      leaving = true;
      await reconciler.now(true);
    },
    get repaired() {
      return reconciler.repaired;
    },
  };
}
