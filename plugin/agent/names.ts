import { CoatError, explain } from '../../driver/host/errors.ts';
import type { Log } from '../../driver/host/log.ts';
import { Claim, claimPath } from '../../driver/overlay/records.ts';
import type { Store } from '../../driver/store/store.ts';
import type { Attached, EngineNetworks } from '../engine/networks.ts';

export interface NamesOptions {
  me: string;
  store: Store;
  engine: EngineNetworks;
  log: Log;
  /** Coat's networks on this engine: Docker's id → key of the record. */
  networks: () => ReadonlyMap<string, string>;
}

/** What passes by itself, so that it is worth trying again soon. */
const PASSING = new Set(['store-away', 'engine-away', 'conflict']);

/**
 * Writes the names of this host's containers into their claims, from which all hosts answer for them. Docker tells a
 * driver neither name nor id of a container, so the engine is asked, afterwards. The names end with the claim, and
 * go with it where a container moves.
 *
 * @throws CoatError one that passes, when all has been tried
 */
export async function fillNames({ me, store, engine, log, networks }: NamesOptions): Promise<void> {
  let passing: CoatError | undefined;
  for (const [id, key] of networks()) {
    try {
      for (const attached of await engine.attached(id)) {
        const entry = await store.get(claimPath(key, attached.ip));
        const claim = entry && Claim.parse(entry.value);
        if (!entry || !claim || claim.host !== me || attached.names.length === 0 || hasNames(claim, attached)) continue;
        await store.put(entry.key, { ...claim, container: attached.container, names: attached.names }, entry.revision);
      }
    } catch (error) {
      log.debug({ network: key, reason: explain(error) }, 'container names: not now');
      if (error instanceof CoatError && PASSING.has(error.code)) passing = error;
    }
  }
  if (passing !== undefined) throw passing;
}

const hasNames = (claim: Claim, { container, names }: Attached): boolean => claim.container === container && claim.names?.join() === names.join();

/** Whether a container of this host has no names yet: its claim may come after Docker told of it. */
export function lacksNames(claims: Iterable<Claim>, me: string): boolean {
  for (const { host, mac, names } of claims) if (host === me && mac !== undefined && names === undefined) return true;
  return false;
}
