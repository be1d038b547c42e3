import type { MigrationRequest } from '../agent/api.ts';
import { addressOf } from './claims.ts';
import type { SourceEntry } from './journal.ts';
import type { Plan } from './plan.ts';
import type { Preparation } from './protocol.ts';
import { destinationBody, restarts } from './spec.ts';

/** What the source writes down of a move before it begins. */
export function sourceEntry({ name, inspect, endpoints, strategy, volumes }: Plan, { to, keep = false }: MigrationRequest, id: string): SourceEntry {
  return {
    role: 'source',
    id,
    container: name,
    containerId: inspect.Id,
    peer: to,
    endpoints: endpoints.map(addressOf),
    state: 'moving',
    keep,
    strategy,
    volumes: volumes.filter(({ carry }) => carry === 'copy').map((volume) => volume.name),
    ...(restarts(inspect) ? { restartPolicy: inspect.HostConfig.RestartPolicy } : {}),
  };
}

/** What it tells the destination. */
export function preparationOf({ name, inspect, container, image, endpoints, memory, carried, strategy, volumes }: Plan, id: string): Preparation {
  return { id, container: name, image, body: destinationBody(inspect, container.init), init: container.init, endpoints, memory, carried, strategy, volumes };
}
