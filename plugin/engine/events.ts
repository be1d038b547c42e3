import type Docker from 'dockerode';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { explain } from '../../driver/host/errors.ts';
import type { Log } from '../../driver/host/log.ts';
import { lines } from '../../driver/host/lines.ts';

/** Between attempts to reach the engine, ms: from the first to the last. */
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;

const Event = z.object({ Type: z.string(), Action: z.string() });
const ACTIONS = ['create', 'destroy', 'connect', 'disconnect', 'start', 'rename'];

/** Something about a network (`create`, `destroy`, `connect`, `disconnect`) or the names of its containers (`start`, `rename`). */
export interface NetworkEvent {
  type: string;
  action: string;
}

/**
 * Follows the engine's events about networks for as long as the agent lives, through restarts of dockerd.
 * Events during an interruption are lost, so whoever listens looks at the whole state on `connected`.
 */
export function followNetworks(docker: Docker, log: Log, on: { event(event: NetworkEvent): void; connected(): void }): { stop(): void } {
  const stop = new AbortController();
  let open: Readable | undefined;
  stop.signal.addEventListener('abort', () => open?.destroy());

  const follow = async (): Promise<void> => {
    // what is filtered here is less for both sides to read; `filters` must be a string for the engine
    open = (await docker.getEvents({ filters: JSON.stringify({ type: ['network', 'container'], event: ACTIONS }) })) as Readable;
    if (stop.signal.aborted) open.destroy();
    on.connected();
    // an event may come in two chunks, and two events in one
    for await (const line of lines(open)) {
      const event = Event.parse(JSON.parse(line));
      on.event({ type: event.Type, action: event.Action });
    }
  };

  const keep = async (): Promise<void> => {
    for (let pause = FIRST_PAUSE_MS; !stop.signal.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      const began = Date.now();
      await follow().catch((error: unknown) => log.debug({ reason: explain(error) }, 'the engine sends no events'));
      if (Date.now() - began > LONGEST_PAUSE_MS) pause = FIRST_PAUSE_MS;
      await sleep(pause, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  };
  void keep();
  return { stop: () => stop.abort() };
}
