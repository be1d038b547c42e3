import { unlink } from 'node:fs/promises';
import type { HostSide } from '../criu/host.ts';

/** Where the host has what an arriving container needs; coat-runc looks there. */
export const restoreDirectory = (containerId: string): string => `/run/coat/restore/${containerId}`;
/** Where the source has what a leaving container becomes. */
export const departureDirectory = (id: string): string => `/run/coat/moves/${id}`;
export const netnsPath = (name: string): string => `/run/coat/netns/${name}`;

/** From now on coat-runc has to do with the container no more, which may end and start as any. */
export async function closeDoor(host: HostSide, containerId: string): Promise<void> {
  await unlink(host.path(`${restoreDirectory(containerId)}/events`)).catch(() => undefined);
}
