import { Readable } from 'node:stream';
import type { Peer } from '../agent/peer.ts';
import type { HostSide } from '../criu/host.ts';
import type { Inspect } from '../engine/containers.ts';
import type { Layer } from '../engine/layers.ts';
import { type Delta, deltaOf } from '../transfer/delta.ts';
import { headed } from '../transfer/reader.ts';
import { difference, type Scan, scan } from '../transfer/scan.ts';
import { pack } from '../transfer/tar.ts';
import type { Ignores } from './ignore.ts';
import { type Opened, openedBy } from './opened.ts';
import type { CarriedVolume } from './volumes.ts';

/** Files that go over: the writable layer, or a volume. */
interface Tree {
  /** Name of the volume. */
  volume?: string;
  /** Where it is on this host, for this process. */
  root: string;
  /** The same as the container sees it. */
  merged: string;
  /** Where the container has it: '' for the layer; '/data'. */
  points: string[];
  /** Whether all of it is sent in the blackout: at the destination it is there only while the container has it. */
  late: boolean;
  first: Scan;
}

/**
 * The files of a container at the source: looked at before anything is touched, sent while it runs, and sent again as far as they
 * have changed while it stands still.
 */
export class Trees {
  readonly #trees: Tree[];
  readonly #ignores: Ignores | undefined;
  readonly #opened: () => Promise<Opened>;

  private constructor(trees: Tree[], ignores: Ignores | undefined, opened: () => Promise<Opened>) {
    this.#trees = trees;
    this.#ignores = ignores;
    this.#opened = opened;
  }

  /** @param processes the container's, whenever they are asked for */
  static async look(host: HostSide, inspect: Inspect, layer: Layer, volumes: readonly CarriedVolume[], ignores: Ignores | undefined, processes: () => Promise<readonly number[]>): Promise<Trees> {
    const trees: Tree[] = [{ root: host.path(layer.upper), merged: host.path(layer.merged), points: [''], late: false, first: new Map() }];
    for (const { name, memory } of volumes.filter(({ carry }) => carry === 'copy')) {
      const mounts = inspect.Mounts.filter((mount) => mount.Type === 'volume' && mount.Name === name);
      const root = host.path(mounts[0]!.Source);
      // a part of a volume has other paths in the container: nothing of it is left out
      const points = subpaths(inspect).has(name) ? [] : mounts.map(({ Destination }) => Destination);
      trees.push({ volume: name, root, merged: root, points, late: memory, first: new Map() });
    }
    const made = new Trees(trees, ignores, async () => openedBy(host, await processes()));
    const opened = await made.#opened();
    for (const tree of trees) tree.first = made.#kept(tree, await scan(tree.root, tree.volume === undefined ? 'layer' : 'plain'), opened);
    return made;
  }

  /** Room that they take at the destination, bytes. */
  room(): { layer: number; volumes: number } {
    const of = (volumes: boolean): number => this.#trees.filter(({ volume }) => (volume !== undefined) === volumes).reduce((sum, { first }) => sum + [...first.values()].reduce((all, { room }) => all + room, 0), 0);
    return { layer: of(false), volumes: of(true) };
  }

  /** All of them while the container still writes; what changes meanwhile is the delta's. */
  async send(peer: Peer, id: string, signal: AbortSignal, sent: (bytes: number) => void): Promise<void> {
    for (const { volume, root, first, late } of this.#trees) {
      if (late || (volume === undefined && first.size === 0)) continue;
      const packing = pack(root, this.#ignores ? ['.', ...first.keys()] : undefined);
      packing.stream.on('data', (chunk: Buffer) => sent(chunk.length));
      await peer.upload(`/v1/moves/files?${query(id, volume)}`, packing.stream, { signal });
      await packing.done;
    }
  }

  /** What has changed since, of a container that stands still. */
  async sendDelta(peer: Peer, id: string, signal: AbortSignal, sent: (bytes: number) => void): Promise<void> {
    const opened = await this.#opened();
    const changes = await Promise.all(this.#trees.map(async (tree) => ({ tree, changed: await this.#changed(tree, opened) })));
    for (const { tree: { volume, root, merged }, changed } of changes) {
      if (changed.copy.length === 0 && changed.remove.length === 0) continue;
      const delta = await deltaOf(changed, merged);
      const packing = pack(root, changed.copy);
      packing.stream.on('data', (chunk: Buffer) => sent(chunk.length));
      await peer.upload(`/v1/moves/delta?${query(id, volume)}`, Readable.from(withHead(delta, packing.stream), { objectMode: false }), { signal });
      await packing.done;
    }
  }

  async #changed(tree: Tree, opened: Opened): Promise<ReturnType<typeof difference>> {
    const before = tree.late ? new Map() as Scan : tree.first;
    const after = this.#kept(tree, await scan(tree.root, tree.volume === undefined ? 'layer' : 'plain'), opened);
    const written = new Set([...after.keys()].filter((path) => tree.points.some((point) => opened.written.has(`${point}/${path}`))));
    return difference(before, after, written);
  }

  /** Without what the container's rules leave out; what a process holds is never left out, nor what is above a file that goes. */
  #kept({ points }: Tree, all: Scan, { held }: Opened): Scan {
    const ignores = this.#ignores;
    if (!ignores || points.length === 0) return all;
    const stays = (path: string): boolean => points.every((point) => ignores(`${point}/${path}`.slice(1)) && !held.has(`${point}/${path}`));
    const goes = new Set<string>();
    for (const path of all.keys()) {
      if (path !== '.' && stays(path)) continue;
      for (let each = path; each !== '' && !goes.has(each); each = each.includes('/') ? each.slice(0, each.lastIndexOf('/')) : '') goes.add(each);
    }
    return new Map([...all].filter(([path]) => goes.has(path)));
  }
}

/** Volumes of which the container sees only a part (`volume-subpath`). */
function subpaths({ HostConfig }: Inspect): Set<string> {
  const mounts = (HostConfig['Mounts'] as { Source?: string; VolumeOptions?: { Subpath?: string } }[] | null | undefined) ?? [];
  return new Set(mounts.filter(({ VolumeOptions }) => VolumeOptions?.Subpath).map(({ Source }) => Source ?? ''));
}

const query = (id: string, volume: string | undefined): string => new URLSearchParams({ id, ...(volume === undefined ? {} : { volume }) }).toString();

async function* withHead(delta: Delta, tar: Readable): AsyncGenerator<Buffer> {
  yield headed(delta);
  yield* tar as AsyncIterable<Buffer>;
}

