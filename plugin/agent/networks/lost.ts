import { explain } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import type { EngineNetworks } from '../../engine/networks.ts';

/** How long an endpoint must have been unknown to the engine before it counts as lost, ms: longer than from its creation to its join. */
const LOST_AFTER_MS = 15_000;

/** An endpoint as the driver has it. */
export interface KnownEndpoint {
  id: string;
  networkId: string;
  ip: string;
}

export interface LostOptions {
  engine: Pick<EngineNetworks, 'attached'>;
  endpoints: () => readonly KnownEndpoint[];
  discard: (id: string) => Promise<void>;
  log: Log;
  /** ms, from any beginning. */
  now?: () => number;
}

/**
 * Takes away endpoints that the engine does not know any more. It forgets without a word when it dies, and when the plugin
 * could not be reached as it said goodbye.
 */
export class LostEndpoints {
  readonly #options: LostOptions;
  /** Since when the engine has not known an endpoint. */
  readonly #missing = new Map<string, number>();

  constructor(options: LostOptions) {
    this.#options = options;
  }

  /** Looks once. @returns whether there is something to look at again soon */
  async look(): Promise<boolean> {
    const { engine, endpoints, discard, log, now = () => performance.now() } = this.#options;
    const known = endpoints();
    const attached = new Set<string>();
    const unsure = new Set<string>();
    for (const network of new Set(known.map(({ networkId }) => networkId))) {
      try {
        for (const { endpoint } of await engine.attached(network)) attached.add(endpoint);
      } catch (error) {
        unsure.add(network);
        log.debug({ network, reason: explain(error) }, 'whether endpoints are lost: not now');
      }
    }
    const missing = known.filter(({ id, networkId }) => !attached.has(id) && !unsure.has(networkId));
    for (const id of this.#missing.keys()) if (!missing.some((endpoint) => endpoint.id === id)) this.#missing.delete(id);
    for (const { id, ip } of missing) {
      const since = this.#missing.get(id) ?? now();
      this.#missing.set(id, since);
      if (now() - since < LOST_AFTER_MS) continue;
      log.warn({ endpoint: id, ip }, 'the engine has lost an endpoint: taken away');
      await discard(id);
      this.#missing.delete(id);
    }
    return this.#missing.size > 0;
  }
}
