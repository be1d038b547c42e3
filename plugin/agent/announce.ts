import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../../driver/host/errors.ts';
import type { Log } from '../../driver/host/log.ts';
import { Host, hostKey } from '../../driver/overlay/records.ts';
import { changeStored } from '../../driver/store/change.ts';
import type { Store } from '../../driver/store/store.ts';

/** Between attempts while the store is away, ms. */
const RETRY_MS = 1_000;
/** Between looks at what may change, such as routes, ms. */
const EVERY_MS = 15_000;

export interface Announcement {
  /** This host's name. */
  me: string;
  /** What its record should be now; `undefined` leaves it as it is. */
  record: () => Promise<(current: Host | undefined) => Host | undefined>;
  store: Store;
  log: Log;
  signal: AbortSignal;
  /** ms. */
  every?: number;
}

/**
 * Writes this host's record, from which all hosts learn where its tunnels end and what it has routes to; from then on whenever
 * it changes, until `signal`.
 *
 * @returns when it has been written for the first time
 */
export async function announce(announcement: Announcement): Promise<void> {
  const { log, signal } = announcement;
  for (let told = false; !signal.aborted; told = true) {
    try {
      await write(announcement);
      break;
    } catch (error) {
      if (!told) log.warn({ reason: explain(error) }, 'this host is not announced yet');
      await rest(RETRY_MS, signal);
    }
  }
  void keep(announcement);
}

async function keep(announcement: Announcement): Promise<void> {
  const { log, signal, every = EVERY_MS } = announcement;
  for (await rest(every, signal); !signal.aborted; await rest(every, signal)) {
    await write(announcement).catch((error: unknown) => log.debug({ reason: explain(error) }, 'this host is not announced anew'));
  }
}

async function write({ me, record, store }: Announcement): Promise<void> {
  await changeStored(store, hostKey(me), (value) => Host.parse(value), await record());
}

async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
