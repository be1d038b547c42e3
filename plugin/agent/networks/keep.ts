import type Docker from 'dockerode';
import type { Driver } from '../../../driver/driver.ts';
import type { Log } from '../../../driver/host/log.ts';
import type { Store } from '../../../driver/store/store.ts';
import { followNetworks } from '../../engine/events.ts';
import { createNetworks } from '../../engine/networks.ts';
import { fillNames, lacksNames } from '../names.ts';
import { networksOf } from '../overlay.ts';
import { Keeper } from './keeper.ts';
import { LostEndpoints } from './lost.ts';
import { NetworkSync } from './sync.ts';

/** How soon endpoints that seem lost are looked at again, ms. */
const LOOK_AGAIN_MS = 5_000;

export interface KeepNetworksOptions {
  me: string;
  docker: Docker;
  driver: Driver;
  store: Store;
  /** Where the networks last seen are kept. */
  file: string;
  log: Log;
}

/** Keeps this engine's networks and the cluster's the same, and the names of its containers known. Never fails; ends with `stop`. */
export function keepNetworks({ me, docker, driver, store, file, log }: KeepNetworksOptions): { stop(): Promise<void> } {
  const engine = createNetworks(docker);
  const sync = new NetworkSync({ store, engine, numbers: () => new Map(driver.networksOnEngine().flatMap(({ id, network }) => (network.number === undefined ? [] : [[id, network.number] as const]))), file, log });
  const networks = new Keeper(() => sync.run(), log);
  const names = new Keeper(() => fillNames({ me, store, engine, log, networks: () => networksOf(driver) }), log);
  const lost = new LostEndpoints({ engine, endpoints: () => driver.endpointsOnEngine(), discard: (id) => driver.discard(id), log });
  const endpoints = new Keeper(async () => void ((await lost.look()) && setTimeout(() => endpoints.poke(), LOOK_AGAIN_MS).unref()), log);

  // claims change all the time, networks hardly ever
  let before = '';
  const unsubscribe = driver.replica.onChange(({ claims }) => {
    if (lacksNames([...claims.keys()].flatMap((key) => driver.replica.claims.get(key) ?? []), me)) names.poke();
    const now = JSON.stringify([driver.replica.connected, [...driver.replica.networks.values()].map(({ key, name }) => [key, name])]);
    if (now === before) return;
    before = now;
    networks.poke();
  });
  const events = followNetworks(docker, log, {
    connected() {
      networks.poke();
      names.poke();
      endpoints.poke();
    },
    event({ type, action }) {
      if (type === 'network' && (action === 'create' || action === 'destroy')) networks.poke();
      if (action === 'connect' || action === 'start' || action === 'rename') names.poke();
    },
  });
  networks.start();
  names.start();
  endpoints.start();
  return {
    async stop() {
      unsubscribe();
      events.stop();
      await Promise.all([networks.stop(), names.stop(), endpoints.stop()]);
    },
  };
}
