import { readdir, rm, stat, statfs } from 'node:fs/promises';
import { codeOf } from '../../driver/host/errors.ts';
import type { HostSide } from '../criu/host.ts';
import type { MoverDependencies } from './ports.ts';
import type { Offer } from './protocol.ts';
import type { CarriedVolume, VolumeThere } from './volumes.ts';

type Needs = Pick<MoverDependencies, 'volumes' | 'host' | 'log'>;

/** A volume at the destination that a move fills, or has made. */
export interface Lodging {
  name: string;
  /** Whether it was not there before. */
  made: boolean;
  /** Whether what is in it has come with the move. */
  filled: boolean;
}

/** What a destination knows of the volumes that are to come. */
export async function volumesThere({ volumes, host }: Needs, carried: readonly CarriedVolume[]): Promise<Map<string, VolumeThere>> {
  const looks = carried.map(async ({ name }): Promise<[string, VolumeThere]> => {
    const volume = await volumes.inspect(name);
    if (!volume) return [name, { volume, empty: true, users: [] }];
    return [name, { volume, empty: volume.Mountpoint === '' || (await isEmpty(host.path(volume.Mountpoint))), users: await volumes.users(name) }];
  });
  return new Map(await Promise.all(looks));
}

/** Of which volumes a move will have to take something back: those that are not there, and those that it fills. */
export async function lodgings(deps: Needs, carried: readonly CarriedVolume[]): Promise<Lodging[]> {
  const there = await volumesThere(deps, carried);
  return carried
    .map(({ name, carry }) => ({ name, made: there.get(name)?.volume === undefined, filled: carry === 'copy' }))
    .filter(({ made, filled }) => made || filled);
}

/** Makes the volumes that are not there. */
export async function makeVolumes({ volumes }: Needs, carried: readonly CarriedVolume[]): Promise<void> {
  for (const volume of carried) if (volume.carry !== 'there') await volumes.create(volume);
}

/** Takes back what a move did; its container is gone. A volume that another container has got meanwhile is left alone. */
export async function giveUp({ volumes, host, log }: Needs, lodged: readonly Lodging[]): Promise<void> {
  for (const { name, made, filled } of lodged) {
    if (made) {
      if (!(await volumes.remove(name))) log.warn({ volume: name }, 'a volume that came with a move which was taken back is another container\'s by now, and stays');
    } else if (filled && (await volumes.users(name)).length === 0) {
      const path = (await volumes.inspect(name))?.Mountpoint;
      if (path) await empty(host.path(path));
    }
  }
}

/** Removes all that is in a directory, such as what the engine puts into a new volume from the image. */
export async function empty(directory: string): Promise<void> {
  for (const name of await readdir(directory)) await rm(`${directory}/${name}`, { recursive: true, force: true });
}

async function isEmpty(directory: string): Promise<boolean> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  return names.every((name) => name === 'lost+found');
}

/** How much of what is to come the destination has no room for, bytes: 0 where all of it fits. @param where the engine keeps both kinds of files */
export async function missingRoom(host: HostSide, where: { layers: string; volumes: string }, { room }: Offer, image: 'present' | 'absent'): Promise<{ missing: number; free: number }> {
  const places = await Promise.all([where.layers, where.volumes].map(async (directory) => {
    const path = host.path(directory);
    const [{ bavail, bsize }, { dev }] = await Promise.all([statfs(path), stat(path)]);
    return { free: bavail * bsize, dev };
  }));
  const [layers, kept] = places as [(typeof places)[number], (typeof places)[number]];
  const toLayers = room.layer + (image === 'absent' ? room.image : 0);
  if (layers.dev === kept.dev) return { missing: Math.max(0, toLayers + room.volumes - layers.free), free: layers.free };
  if (toLayers > layers.free) return { missing: toLayers - layers.free, free: layers.free };
  return { missing: Math.max(0, room.volumes - kept.free), free: kept.free };
}
