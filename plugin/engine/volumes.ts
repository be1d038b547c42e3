import type Docker from 'dockerode';
import { statusOf } from './connection.ts';

/** What `docker volume inspect` says of a volume, as far as a move reads it. */
export interface VolumeInspect {
  Name: string;
  Driver: string;
  /** On the host; some drivers say nothing. */
  Mountpoint: string;
  Labels: Record<string, string> | null;
  Options: Record<string, string> | null;
}

/** What a volume is made from. */
export interface VolumeSpec {
  name: string;
  driver: string;
  labels: Record<string, string>;
  options: Record<string, string>;
}

/** The few things a move asks of the engine about volumes. */
export interface Volumes {
  /** `undefined` where there is none. */
  inspect(name: string): Promise<VolumeInspect | undefined>;
  /** One that is there already stays as it is. */
  create(spec: VolumeSpec): Promise<void>;
  /** @returns whether it is gone; one that a container still has stays */
  remove(name: string): Promise<boolean>;
  /** Names of the containers that have it, running or not. */
  users(name: string): Promise<string[]>;
}

export function createVolumes(connect: () => Docker): Volumes {
  return {
    async inspect(name) {
      try {
        return await connect().getVolume(name).inspect();
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw error;
      }
    },
    async create({ name, driver, labels, options }) {
      await connect().createVolume({ Name: name, Driver: driver, Labels: labels, DriverOpts: options });
    },
    async remove(name) {
      try {
        await connect().getVolume(name).remove();
        return true;
      } catch (error) {
        if (statusOf(error) === 404) return true;
        if (statusOf(error) === 409) return false;
        throw error;
      }
    },
    async users(name) {
      // the engine's filter takes a mount point for a name as well
      const containers = await connect().listContainers({ all: true, filters: { volume: [name] } });
      return containers.filter(({ Mounts }) => Mounts.some((mount) => mount.Type === 'volume' && mount.Name === name)).map(({ Names, Id }) => Names[0]?.replace(/^\//, '') ?? Id);
    },
  };
}
