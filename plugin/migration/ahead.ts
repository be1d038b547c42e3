import { writeFile } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import { CoatError, explain } from '../../driver/host/errors.ts';
import type { Peer } from '../agent/peer.ts';
import type { RunningContainer } from '../criu/container.ts';
import { processes } from '../criu/freezer.ts';
import { AHEAD } from '../memory/ahead.ts';
import { MemorySender } from '../memory/sender.ts';
import type { MoverDependencies } from './ports.ts';

/** The source's side of memory that goes ahead of a container. Of a move without any nothing of this is called but {@link MemoryAhead.finish} and {@link MemoryAhead.close}. */
export class MemoryAhead {
  readonly #deps: MoverDependencies;
  readonly #container: RunningContainer;
  readonly #peer: Peer;
  readonly #id: string;
  readonly #bytes: { memory: number };
  #memory: MemorySender | undefined;
  #way: Duplex | undefined;

  /** @param bytes where it is counted what was sent */
  constructor(deps: MoverDependencies, container: RunningContainer, peer: Peer, id: string, bytes: { memory: number }) {
    this.#deps = deps;
    this.#container = container;
    this.#peer = peer;
    this.#id = id;
    this.#bytes = bytes;
  }

  /** The connection on which the destination waits for it. */
  connect(way: Duplex): void {
    way.on('error', (error) => this.#deps.log.debug({ migration: this.#id, error: explain(error) }, 'the way of the memory broke'));
    const { host, log } = this.#deps;
    this.#way = way;
    this.#memory = new MemorySender(host, log, () => processes(host, this.#container), way);
  }

  /** Sends memory while the container runs, and again what it writes to meanwhile. */
  async send(signal: AbortSignal, progress: (bytes: number) => void): Promise<void> {
    await this.#peer.call('/v1/moves/ahead', { id: this.#id }, { signal });
    const way = this.#way;
    if (!way) throw new CoatError('no-way', `${this.#peer.name} has not asked for the container's memory`);
    const stop = this.#peer.watch(way);
    void finished(way).then(stop, stop);
    await this.#sending(signal, async (memory) => {
      await memory.rounds(signal, () => progress((this.#bytes.memory = memory.total)));
    });
  }

  /** What it has written to since. From now on nothing more comes ahead. */
  async sendLast(signal: AbortSignal): Promise<void> {
    await this.#sending(signal, async (memory) => {
      await memory.last(signal);
      this.#bytes.memory = memory.total;
    });
  }

  /** A link may be slow, and nobody may want it any more. */
  async #sending(signal: AbortSignal, work: (memory: MemorySender) => Promise<void>): Promise<void> {
    const stop = (): unknown => this.#way?.destroy();
    signal.addEventListener('abort', stop, { once: true });
    try {
      await work(this.#memory!);
    } catch (cause) {
      signal.throwIfAborted();
      throw cause instanceof CoatError ? cause : wayBroke(this.#peer, 'memory', cause);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /**
   * Says beside CRIU's images what of the memory is there already. The container stands still.
   *
   * @param patience see {@link MemorySender.finish}
   */
  async finish(step: <T>(name: string, work: () => Promise<T>) => Promise<T>, patience: number | undefined, images: string): Promise<void> {
    if (!this.#memory) return;
    const image = await step('look at memory', () => this.#memory!.finish(patience));
    await writeFile(this.#deps.host.path(`${images}/${AHEAD}`), JSON.stringify(image));
  }

  /** From now on it is not noticed any more what the container writes to. */
  close(): void {
    this.#memory?.close();
    this.#way?.destroy();
  }
}

/** @param what of the container was on its way */
export function wayBroke(peer: Peer, what: string, cause: unknown): CoatError {
  return new CoatError('peer-lost', `the connection to ${peer.name} broke while the container's ${what} was sent`, { hint: `look whether ${peer.name} and its agent are up, and try again`, cause });
}
