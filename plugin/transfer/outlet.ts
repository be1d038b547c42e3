import type { Writable } from 'node:stream';

/** Two buffers that take turns, one being filled while the other is on its way: a new one for each write would cost a garbage collection every 64 MiB. */
export class Outlet {
  readonly #stream: Writable;
  readonly #buffers: readonly [Buffer, Buffer];
  /** The last two writes; the one before the last used the buffer that is next. */
  #writes: [Promise<void>, Promise<void>] = [Promise.resolve(), Promise.resolve()];
  #next: 0 | 1 = 0;

  /** @param size of each, bytes */
  constructor(stream: Writable, size: number) {
    this.#stream = stream;
    this.#buffers = [Buffer.allocUnsafe(size), Buffer.allocUnsafe(size)];
  }

  async buffer(): Promise<Buffer> {
    await this.#writes[this.#next];
    return this.#buffers[this.#next];
  }

  /** Of the buffer that was given out last. */
  send(bytes: Buffer): void {
    this.#writes[this.#next] = this.#write(bytes);
    this.#next = this.#next === 0 ? 1 : 0;
  }

  async flushed(): Promise<void> {
    await Promise.all(this.#writes);
  }

  #write(bytes: Buffer): Promise<void> {
    const written = new Promise<void>((resolve, reject) => this.#stream.write(bytes, (error) => (error ? reject(error) : resolve())));
    written.catch(() => undefined);
    return written;
  }
}
