import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../../driver/host/errors.ts';
import type { Log } from '../../driver/host/log.ts';
import { type Host, hostKey } from '../../driver/overlay/records.ts';
import type { Store } from '../../driver/store/store.ts';

/** Between attempts while the store is away, ms. */
const RETRY_MS = 1_000;

/** Writes this host's record, from which all hosts learn where its tunnels end. Tried until it is done. */
export async function announce(store: Store, host: Host, log: Log, signal: AbortSignal): Promise<void> {
  for (let told = false; !signal.aborted; told = true) {
    try {
      const known = await store.get(hostKey(host.name));
      if (JSON.stringify(known?.value) !== JSON.stringify(host)) await store.put(hostKey(host.name), host, 'any');
      return;
    } catch (error) {
      if (!told) log.warn({ reason: explain(error) }, 'this host is not announced yet');
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}
