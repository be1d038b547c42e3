import { explain } from '../../driver/host/errors.ts';
import type { Report } from '../agent/api.ts';
import { FOREVER_MS, type Peer } from '../agent/peer.ts';
import { without } from '../transfer/archive.ts';
import { nameFor, notTaken } from './image.ts';
import type { Plan } from './plan.ts';
import type { MoverDependencies } from './ports.ts';
import type { ImagePulled } from './protocol.ts';

/** The source's side of an image that the destination has not got. */
export class ImageOutlet {
  readonly #deps: MoverDependencies;
  readonly #plan: Plan;
  readonly #peer: Peer;
  readonly #id: string;

  constructor(deps: MoverDependencies, plan: Plan, peer: Peer, id: string) {
    this.#deps = deps;
    this.#plan = plan;
    this.#peer = peer;
    this.#id = id;
  }

  /** Has the destination get it. @param sent hears how many bytes went. @returns how it came there */
  async bring(step: <T>(name: string, work: () => Promise<T>) => Promise<T>, signal: AbortSignal, sent: (bytes: number) => void): Promise<Report['image']> {
    const { verdict, image } = this.#plan;
    if (verdict.image === 'present') return 'present';
    if (image.digests.length > 0 && (await step('pull image', () => this.#pull(signal)))) return 'pulled';
    await step('send image', () => this.#send(signal, sent));
    return 'sent';
  }

  /** @returns whether it did; a registry that refuses or is away is no error */
  async #pull(signal: AbortSignal): Promise<boolean> {
    const { image } = this.#plan;
    const name = await this.#name();
    // a registry may be slow
    const { pulled } = await this.#peer.call<ImagePulled>('/v1/moves/pull', { image, ...(name === undefined ? {} : { name }) }, { signal, timeout: FOREVER_MS });
    return pulled;
  }

  /** Without the layers that the destination has; and all of it where that did not do. */
  async #send(signal: AbortSignal, sent: (bytes: number) => void): Promise<void> {
    const { image } = this.#plan;
    // by its name, so that the destination has it under the same one
    const ref = (await this.#name()) ?? image.id;
    for (const filtered of [true, false]) {
      const left: string[] = [];
      const archive = await this.#deps.images.save(ref);
      const stream = filtered ? without(archive, (digest) => this.#has(digest), left) : archive;
      stream.on('data', (chunk: Buffer) => sent(chunk.length));
      try {
        await this.#peer.upload('/v1/moves/image', stream, { signal });
      } catch (error) {
        if (left.length === 0 || signal.aborted) throw error;
        this.#deps.log.info({ migration: this.#id, error: explain(error) }, 'an image is sent again, with the layers that the destination had');
        continue;
      }
      const { there } = await this.#peer.call<{ there: boolean }>('/v1/moves/known', { image, left }, { signal });
      if (there) return;
      if (left.length === 0) break;
    }
    throw notTaken(this.#peer.name, image.ref);
  }

  #name(): Promise<string | undefined> {
    return nameFor(this.#deps.images, this.#plan.image, this.#plan.verdict.nameTaken);
  }

  async #has(digest: string): Promise<boolean> {
    return (await this.#peer.call<string[]>('/v1/moves/have', { layers: this.#plan.image.layers, digests: [digest] })).includes(digest);
  }
}
