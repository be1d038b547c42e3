import type { RequestListener } from 'node:http';
import { z } from 'zod';
import { createDriver, type Driver } from '../../driver/driver.ts';
import { explain } from '../../driver/host/errors.ts';
import { createKernel } from '../../driver/kernel/kernel.ts';
import { removeDrafts } from '../../driver/host/files.ts';
import type { Log } from '../../driver/host/log.ts';
import type { Host } from '../../driver/overlay/records.ts';
import { createHostSide } from '../criu/host.ts';
import { CriuFinder } from '../criu/program.ts';
import { aboutEngine } from '../engine/about.ts';
import { connectEngine } from '../engine/connection.ts';
import { createContainerd } from '../engine/containerd/containerd.ts';
import { createContainers } from '../engine/containers.ts';
import { createImages } from '../engine/images.ts';
import { createLayers } from '../engine/layers.ts';
import { createAsked, createNetworks } from '../engine/networks.ts';
import { createVolumes } from '../engine/volumes.ts';
import { History } from '../migration/history.ts';
import { Journal } from '../migration/journal.ts';
import { createMover } from '../migration/mover.ts';
import { announce } from './announce.ts';
import type { Status, Version } from './api.ts';
import type { Cluster, ClusterWork } from './cluster/cluster.ts';
import { wayToExternal } from './etcd/external.ts';
import { OwnEtcd } from './etcd/own.ts';
import { EtcdStore } from './etcd/store.ts';
import { wayToEtcd, whereIsEtcd } from './etcd/way.ts';
import { installationDoors } from './installation.ts';
import { localApp } from './local/app.ts';
import type { ClusterDoors } from './local/cluster.ts';
import { listing, networkDetails } from './local/endpoints.ts';
import { examine } from './local/doctor.ts';
import { gatherStatus } from './local/status.ts';
import { Metrics } from './metrics/metrics.ts';
import { serveMetrics } from './metrics/serve.ts';
import { Desk } from './migrations/desk.ts';
import { type Load, loadOf } from './migrations/load.ts';
import { offerMigrations } from './migrations/offers.ts';
import { PathMtus } from './mtu/paths.ts';
import { keepNetworks } from './networks/keep.ts';
import { removeAsked, removeNetworks } from './networks/remove.ts';
import { namesOnEngine, overlayOf } from './overlay.ts';
import type { Paths } from './paths.ts';
import { PeerDirectory } from './peers/peers.ts';
import { RouteTable } from './peers/routes.ts';
import { PeerServer } from './peers/server.ts';
import { removeProbes } from './probes/counters.ts';
import { whyNoDump } from './probes/dump.ts';
import { Tunnels } from './probes/tunnels.ts';
import { VERSION } from './version.ts';

/** What a configured agent gives those who ask, and how it ends. */
export interface Agent {
  driver: RequestListener;
  local: RequestListener;
  cluster: ClusterWork;
  /** Whether the store has answered, and has this host's record. */
  connected(): boolean;
  /**
   * Takes this host's networks off its engine, and the host out of the cluster. What is left to do then is to stop.
   *
   * @param force whether the cluster and the engine are asked at all costs, or as far as they answer
   */
  leave(force: boolean): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Puts a configured agent together, innermost first: peers, store, driver, then what needs them. Only the
 * driver's start is waited for, and it needs no one else: a host forwards while all others are away.
 */
export async function startAgent(cluster: Cluster, paths: Paths, doors: ClusterDoors, log: Log): Promise<Agent> {
  const { membership, security, common } = cluster;
  const { me } = membership;
  const version: Version = { version: VERSION, api: 1, host: me.name };
  const ending = new AbortController();
  for (const directory of [paths.driverState, paths.journals, paths.history]) await removeDrafts(directory);

  const peers = new PeerDirectory(membership, common.port, security);
  const routes = new RouteTable();
  const server = new PeerServer({ me: me.name, security, routes, log });

  const etcd = new OwnEtcd({ membership, peers, data: paths.etcdData, sockets: paths.etcdSockets, log });
  etcd.offer(routes);
  const store = new EtcdStore(cluster.external === undefined ? wayToEtcd(membership, peers, etcd) : wayToExternal(cluster.external));

  const pathMtus = new PathMtus({ peers: () => membership.all().filter(({ name }) => name !== me.name), log });
  const metrics = new Metrics();
  const driver = await createDriver({
    host: me.name,
    address: me.address,
    store,
    stateDir: paths.driverState,
    hostRoot: paths.hostRoot,
    vxlanPort: common.vxlanPort,
    pool: common.pool,
    carries: (address) => pathMtus.to(address),
    observer: metrics,
    log,
  });
  const docker = connectEngine(paths.dockerSocket);
  const host = createHostSide(paths.hostRoot);
  const kernel = createKernel();
  const criu = new CriuFinder(host, paths.criuOnHost);
  const containers = createContainers(() => docker);
  const containerd = createContainerd((path) => host.path(path));
  const mover = createMover(
    {
      self: me.name,
      host,
      criu,
      containers,
      images: createImages(() => docker),
      containerd,
      layers: createLayers(containerd, () => containers.facts()),
      volumes: createVolumes(() => docker),
      overlay: overlayOf(driver, membership, log),
      store,
      peers,
      journal: new Journal(paths.journals),
      log,
    },
    new History(paths.history),
    (report) => metrics.moved(report),
  );
  const load = (): Promise<Load> => loadOf({ host, containers }, namesOnEngine(driver));

  routes.call('/v1/ping', async () => ({ ...version, now: Date.now() }));
  offerSettled(routes, driver);
  const tunnels = new Tunnels({ kernel, address: me.address, port: common.vxlanPort, peers });
  tunnels.offer(routes);
  await removeProbes(kernel).catch((error: unknown) => log.warn({ reason: explain(error) }, 'a probe of an earlier life may be left'));
  mover.register(routes);
  offerMigrations(routes, { mover, load, log });
  const work = cluster.attach({ store, driver, etcd, peers, server, routes, log, signal: ending.signal });

  // the way for others to the store of this host, so before the driver, which may wait for its own way to it
  const listening = server.listen(me.address, common.port);
  const etcdStarted = work.startStore().catch((error: unknown) => log.error({ err: error }, 'etcd did not start; it is tried again'));
  await driver.start();

  const record = async (): Promise<(current: Host | undefined) => Host | undefined> => {
    const facts = { version: VERSION, routes: await driver.routes() };
    return (current: Host | undefined) => cluster.record(current, facts);
  };
  const announced = announce({ me: me.name, record, store, log, signal: ending.signal });
  const networks = keepNetworks({ me: me.name, docker, driver, store, file: paths.networksSeen, log });
  void Promise.all([listening, etcdStarted, announced])
    .then(() => (ending.signal.aborted ? undefined : mover.recover()))
    .catch((error: unknown) => log.error({ err: error }, 'unfinished moves could not be looked at'));

  pathMtus.start();
  driver.replica.onChange(() => pathMtus.peersMayHaveChanged());

  metrics.watch({
    version,
    replica: driver.replica,
    endpoints: () => driver.endpointsOnEngine().length,
    repaired: () => driver.repaired,
    moving: () => mover.moves.running().length,
    peers,
    carries: (address) => pathMtus.to(address),
  });
  const closeMetrics = common.metricsPort === undefined ? undefined : serveMetrics(common.metricsPort, () => metrics.text(), log);

  const networksOfAll = (): { name: string; mtu: number }[] => [...driver.replica.networks.values()].map(({ name, subnet, mtu }) => ({ name: name ?? subnet, mtu }));
  const status = (): Promise<Status> =>
    gatherStatus({
      version,
      membership,
      endpoint: whereIsEtcd(membership, cluster.external?.urls),
      peers,
      replica: driver.replica,
      engine: () => aboutEngine(docker),
      criu: () => criu.find(),
      migrations: () => mover.moves.running().map(({ id, container, from, to, phase }) => ({ id, container, from, to, phase })),
      carries: (address) => pathMtus.to(address),
      networks: networksOfAll,
    });

  return {
    driver: driver.app,
    local: localApp({
      version: () => version,
      status,
      doctor: () =>
        examine({
          status,
          peers,
          storage: async () => (await aboutEngine(docker)).storage,
          mtu: () => driver.mtu(),
          measure: () => pathMtus.look(),
          networks: networksOfAll,
          ports: { agents: common.port, tunnels: common.vxlanPort },
          whyNoDump: () => criu.find().then((found) => whyNoDump(host, found, { kernel, hostRoot: paths.hostRoot }), () => undefined),
          tryTunnel: (peer) => tunnels.try(peer),
        }),
      endpoints: () => listing(driver.replica),
      networks: () => networkDetails(driver.replica),
      createNetwork: (asked) => createAsked(docker, asked),
      removeNetwork: (name) => removeAsked(createNetworks(docker), networkDetails(driver.replica), name),
      metrics: () => metrics.text(),
      migrations: new Desk({ me: me.name, mover, peers, members: () => membership.all(), claims: () => driver.replica.claims.values(), load, log }),
      ...installationDoors({ host, docker, paths, log }),
      cluster: doors,
      log,
    }),
    cluster: work,
    connected: () => driver.replica.connected && driver.replica.hosts.has(me.name),
    async leave(force) {
      const asked = (error: unknown): void => {
        if (!force) throw error;
        log.warn({ reason: explain(error) }, 'leaving all the same');
      };
      // nobody shall take what goes now for a network that somebody removed
      await networks.stop();
      await removeNetworks(createNetworks(docker), asked);
      await driver.closePorts().catch(asked);
      await work.signOff().catch(asked);
    },
    async stop() {
      ending.abort();
      pathMtus.stop();
      await closeMetrics?.();
      await networks.stop();
      await driver.stop();
      await store.close();
      // while its peers can be reached, so that another one takes over at once
      await etcd.stop();
      peers.close();
      await server.close();
    },
  };
}

const Settled = z.object({ revision: z.number().int() });

/** Another host waits until this one has done what the records up to a revision say. */
function offerSettled(routes: RouteTable, driver: Driver): void {
  routes.call('/v1/settled', async (body) => {
    await driver.settled(Settled.parse(body).revision);
    return {};
  });
}
