import { Readable } from 'node:stream';
import { CoatError } from '../../driver/host/errors.ts';
import type { Inspect } from '../engine/containers.ts';
import type { Layer } from '../engine/layers.ts';
import { applyRemovals, type Delta } from '../transfer/delta.ts';
import { Reader, readHead } from '../transfer/reader.ts';
import { unpack } from '../transfer/tar.ts';
import { keepInit } from './inits.ts';
import { empty } from './lodging.ts';
import { engineDirectory, placeOfLog } from './log/place.ts';
import { keepLog } from './log/receive.ts';
import type { MoverDependencies } from './ports.ts';
import type { Preparation } from './protocol.ts';

/** What comes to this host of a container's files: its writable layer, its volumes, and what only the engine has. */
export class FilesIntake {
  readonly #deps: MoverDependencies;
  readonly #preparation: Preparation;
  readonly #containerId: string;

  constructor(deps: MoverDependencies, preparation: Preparation, containerId: string) {
    this.#deps = deps;
    this.#preparation = preparation;
    this.#containerId = containerId;
  }

  /** The writable layer's first pass, into a layer nothing has mounted yet; or a volume's, in the place of what the engine has put there. */
  async first(stream: Readable, volume: string | undefined): Promise<void> {
    if (volume === undefined) return unpack(await this.#layer('upper'), stream, 'upper');
    const root = await this.#volume(volume);
    await empty(root);
    await unpack(root, stream, 'upper');
  }

  /** The program that Docker has put before the container's own. */
  async init(stream: Readable): Promise<void> {
    await keepInit(this.#deps.host, await this.kept(), stream);
  }

  /** A file of its log. */
  async log(stream: Readable, suffix: string): Promise<void> {
    const { LogConfig } = this.#preparation.body['HostConfig'] as Inspect['HostConfig'];
    const place = placeOfLog(await this.kept(), this.#containerId, LogConfig);
    if (!place) throw new CoatError('no-log', `the engine keeps no log of the kind ${LogConfig.Type}`);
    await keepLog(this.#deps.host, place, suffix, stream);
  }

  /** Asks where everything is: while the engine starts a container it describes it to nobody, and files that changed must go there before it has started. */
  async look(): Promise<void> {
    await this.#layer('merged');
    for (const { name, carry } of this.#preparation.volumes) if (carry === 'copy') await this.#volume(name);
  }

  /** What changed of the writable layer since the first pass, through the mounted layer; or of a volume. */
  async delta(stream: Readable, volume: string | undefined): Promise<void> {
    const reader = new Reader(stream);
    const delta = (await readHead(reader)) as Delta;
    const merged = volume === undefined ? await this.#layer('merged') : await this.#volume(volume);
    await applyRemovals(merged, delta);
    await unpack(merged, Readable.from(reader.remaining(), { objectMode: false }), volume === undefined ? 'merged' : 'upper');
  }

  /** Where the engine keeps what is the container's. */
  async kept(): Promise<string> {
    return (this.#keeps ??= await engineDirectory(this.#deps.containers, this.#containerId));
  }
  #keeps: string | undefined;

  /** Where this host has a volume that is copied here. */
  async #volume(name: string): Promise<string> {
    const known = this.#preparation.volumes.some((volume) => volume.name === name && volume.carry === 'copy');
    const path = known ? (this.#volumes.get(name) ?? (await this.#deps.volumes.inspect(name))?.Mountpoint) : undefined;
    if (!path) throw new CoatError('no-volume', `the engine does not say where it keeps the volume ${name}`);
    this.#volumes.set(name, path);
    return this.#deps.host.path(path);
  }
  readonly #volumes = new Map<string, string>();

  async #layer(which: keyof Layer): Promise<string> {
    const { containers, layers, host } = this.#deps;
    this.#layers ??= await containers.inspect(this.#containerId).then((inspect) => inspect && layers.of(inspect));
    if (!this.#layers) throw new CoatError('no-layer', `the engine has no container ${this.#preparation.container} any more`);
    return host.path(this.#layers[which]);
  }
  #layers: Layer | undefined;
}
