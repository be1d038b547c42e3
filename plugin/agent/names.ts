import { explain } from '../../driver/host/errors.ts';
import type { Log } from '../../driver/host/log.ts';
import { Claim, claimPath } from '../../driver/overlay/records.ts';
import type { Store } from '../../driver/store/store.ts';
import type { EngineNetworks } from '../engine/networks.ts';

export interface NamesOptions {
  me: string;
  store: Store;
  engine: EngineNetworks;
  log: Log;
  /** Coat's networks on this engine: Docker's id → key of the record. */
  networks: () => ReadonlyMap<string, string>;
}

/**
 * Writes the names of this host's containers into their claims, for `docker coat ls`. Docker tells a
 * driver neither name nor id of a container, so the engine is asked, afterwards. What fails is left
 * for the next time: nothing but a listing depends on it.
 */
export async function fillNames({ me, store, engine, log, networks }: NamesOptions): Promise<void> {
  for (const [id, key] of networks()) {
    try {
      for (const { container, ip } of await engine.attached(id)) {
        const entry = await store.get(claimPath(key, ip));
        const claim = entry && Claim.parse(entry.value);
        if (!entry || !claim || claim.host !== me || claim.container === container) continue;
        await store.put(entry.key, { ...claim, container }, entry.revision);
      }
    } catch (error) {
      log.debug({ network: key, reason: explain(error) }, 'container names: not now');
    }
  }
}
