import type { ClientRequest } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoatError } from '../../../driver/host/errors.ts';
import type { Store, Watch } from '../../../driver/store/store.ts';
import { lines } from '../../../driver/host/lines.ts';
import type { EtcdClient } from './client.ts';
import { batchesOf, WatchLine, watchRequest } from './messages.ts';

/** Between attempts to reach a store that is away, ms: from the first to the last. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;

type Result = NonNullable<WatchLine['result']>;

/** The changes asked for cannot be replayed any more. */
class Lost extends CoatError {
  constructor(message: string) {
    super('watch-lost', message);
  }
}

/**
 * Watches a prefix through etcd's restarts and lost connections: each time from the revision after
 * the last one reported, so nothing is missed and nothing comes twice.
 *
 * @param ended called once, when the watch is closed or lost
 */
export function startWatch(client: EtcdClient, prefix: string, from: number, on: Parameters<Store['watch']>[2], ended: () => void): Watch {
  let open: ClientRequest | undefined;
  let closed = false;
  let next = from;

  const close = (): void => {
    if (closed) return;
    closed = true;
    open?.destroy();
    ended();
  };

  /** One connection, to its end. */
  const follow = async (): Promise<void> => {
    const { request, response, broken } = await client.stream('/v3/watch', watchRequest(prefix, next));
    open = request;
    if (closed) request.destroy();
    try {
      for await (const text of lines(response)) {
        if (closed) return;
        const { result, error } = WatchLine.parse(JSON.parse(text));
        if (error) throw new Error(error.message);
        if (result) take(result);
      }
    } finally {
      if (!closed) broken();
    }
  };

  const take = (result: Result): void => {
    if (result.compact_revision > 0) throw new Lost(`the store's history before revision ${result.compact_revision} is gone`);
    if (result.canceled) throw new Error(`the watch was cancelled: ${result.cancel_reason}`);
    if (result.created) {
      if (result.header.revision < next - 1) throw new Lost('the store is younger than what is known of it: it was made anew');
      pause = FIRST_PAUSE_MS;
      return;
    }
    for (const { revision, changes } of batchesOf(result)) {
      next = revision + 1;
      tell(() => on.change(changes, revision));
    }
    // neither created nor events: a progress notification, which promises that everything up to its revision was sent
    if (result.events.length === 0) next = Math.max(next, result.header.revision + 1);
  };

  let pause = FIRST_PAUSE_MS;
  const keep = async (): Promise<void> => {
    while (!closed) {
      await follow().catch((error: unknown) => {
        if (closed || !(error instanceof Lost)) return;
        close();
        tell(() => on.lost(error));
      });
      open?.destroy();
      if (closed) return;
      await sleep(pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  };
  void keep();
  return { close };
}

/** A listener that throws is a defect of its own: it shall end the process, not look like a lost connection. */
function tell(listener: () => void): void {
  try {
    listener();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}
