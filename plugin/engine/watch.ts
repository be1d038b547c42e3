import type Docker from 'dockerode';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { lines } from '../../driver/host/lines.ts';

const Event = z.object({ Action: z.string(), Actor: z.object({ Attributes: z.record(z.string(), z.string()).optional() }).optional() });
const ACTIONS = ['kill', 'die', 'destroy', 'pause'];

/** Something that was done with a container. */
export interface ContainerEvent {
  action: string;
  /** Of a `kill`, its number. */
  signal?: string;
}

/**
 * Follows what is done with one container. When it resolves, nothing from then on is missed, unless the engine goes away: then it is quiet.
 *
 * @returns ends it
 */
export async function watchContainer(docker: Docker, id: string, on: (event: ContainerEvent) => void): Promise<() => void> {
  const open = (await docker.getEvents({ filters: JSON.stringify({ type: ['container'], container: [id], event: ACTIONS }) })) as Readable;
  void read(open, on).catch(() => undefined);
  return () => void open.destroy();
}

async function read(open: Readable, on: (event: ContainerEvent) => void): Promise<void> {
  for await (const line of lines(open)) {
    const { Action, Actor } = Event.parse(JSON.parse(line));
    const signal = Actor?.Attributes?.['signal'];
    on({ action: Action, ...(signal === undefined ? {} : { signal }) });
  }
}
