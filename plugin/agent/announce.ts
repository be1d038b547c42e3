import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../../driver/host/errors.ts';
import type { Log } from '../../driver/host/log.ts';
import { type Host, hostKey } from '../../driver/overlay/records.ts';
import type { Store } from '../../driver/store/store.ts';

/** Between attempts while the store is away, ms. */
const RETRY_MS = 1_000;
/** Between looks at what may change, such as routes, ms. */
const EVERY_MS = 15_000;

/**
 * Writes this host's record, from which all hosts learn where its tunnels end and what it has routes to; from then on whenever
 * it changes, until `signal`.
 *
 * @returns when it has been written for the first time
 */
export async function announce(store: Store, describe: () => Promise<Host>, log: Log, signal: AbortSignal, every = EVERY_MS): Promise<void> {
  for (let told = false; !signal.aborted; told = true) {
    try {
      await write(store, await describe());
      break;
    } catch (error) {
      if (!told) log.warn({ reason: explain(error) }, 'this host is not announced yet');
      await rest(RETRY_MS, signal);
    }
  }
  void keep(store, describe, log, signal, every);
}

async function keep(store: Store, describe: () => Promise<Host>, log: Log, signal: AbortSignal, every: number): Promise<void> {
  for (await rest(every, signal); !signal.aborted; await rest(every, signal)) {
    await describe().then((host) => write(store, host)).catch((error: unknown) => log.debug({ reason: explain(error) }, 'this host is not announced anew'));
  }
}

async function write(store: Store, host: Host): Promise<void> {
  const known = await store.get(hostKey(host.name));
  if (JSON.stringify(known?.value) !== JSON.stringify(host)) await store.put(hostKey(host.name), host, 'any');
}

async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
