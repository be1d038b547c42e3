import os from 'node:os';
import { findContainer } from '../../criu/container.ts';
import { processes } from '../../criu/freezer.ts';
import type { HostSide } from '../../criu/host.ts';
import type { Containers } from '../../engine/containers.ts';
import { residentMemory } from '../../migration/facts.ts';
import type { HostLoad } from '../api.ts';

/** What this host carries. */
export type Load = Required<Pick<HostLoad, 'memory' | 'containers'>>;

/** @param names of coat's networks, by Docker's ids of them */
export async function loadOf({ host, containers }: { host: HostSide; containers: Containers }, names: ReadonlyMap<string, string>): Promise<Load> {
  const running = await containers.running();
  return {
    memory: { total: os.totalmem(), available: os.freemem() },
    containers: await Promise.all(running.map(async ({ id, name, networks }) => ({
      id,
      name,
      networks: networks.flatMap((network) => names.get(network) ?? []),
      memory: await memoryOf(host, id).catch(() => 0),
    }))),
  };
}

async function memoryOf(host: HostSide, id: string): Promise<number> {
  return residentMemory(host, await processes(host, await findContainer(host, id)));
}
