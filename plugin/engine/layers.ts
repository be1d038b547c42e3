import { CoatError } from '../../driver/host/errors.ts';
import { type Containerd, OVERLAYFS } from './containerd/containerd.ts';
import type { EngineFacts, Inspect } from './containers.ts';

/**
 * Storage drivers whose containers can move: Docker's own, and that of containerd's image store. Both are overlayfs and mark what
 * was deleted alike, so what is written in the one's upper directory can be read in the other's.
 */
export const isStore = (storage: string): boolean => storage === 'overlay2' || storage === OVERLAYFS;

/** The writable layer of a container, as paths of the host. */
export interface Layer {
  /** What it has of its own. It is there as soon as the container was made. */
  upper: string;
  /** All that it sees, mounted while it runs and from `docker start` on. */
  merged: string;
}

export interface Layers {
  of(inspect: Inspect): Promise<Layer>;
  /** The directory in which an engine has its layers. */
  root(engine: EngineFacts): Promise<string>;
}

export function createLayers(containerd: Containerd, facts: () => Promise<EngineFacts>): Layers {
  return {
    async of({ Id, Name, GraphDriver }) {
      if (GraphDriver.Name === OVERLAYFS) {
        const [options, { root }] = await Promise.all([containerd.mountOptions(Id), facts()]);
        const upper = upperOf(options);
        // moby daemon/snapshotter/mount.go, mounter.target
        if (upper !== undefined) return { upper, merged: `${root}/rootfs/${OVERLAYFS}/${Id}` };
      }
      const { UpperDir: upper, MergedDir: merged } = GraphDriver.Data ?? {};
      if (upper !== undefined && merged !== undefined) return { upper, merged };
      throw new CoatError('no-layer', `the engine does not say where it keeps the files of ${Name.replace(/^\//, '')}`);
    },
    root: async ({ storage, root }) => (storage === OVERLAYFS ? containerd.layersRoot() : `${root}/overlay2`),
  };
}

/** @param options as `workdir=/a`, `upperdir=/b`, `lowerdir=/c:/d` */
export const upperOf = (options: readonly string[]): string | undefined => options.find((option) => option.startsWith('upperdir='))?.slice('upperdir='.length);
