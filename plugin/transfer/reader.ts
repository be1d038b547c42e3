import type { Readable } from 'node:stream';
import { CoatError } from '../../driver/host/errors.ts';

/** Reads a stream by exact counts. */
export class Reader {
  readonly #source: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.#source = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** The next chunk of at most `most` bytes; empty at the end. */
  async some(most: number): Promise<Buffer> {
    if (this.#rest.length === 0) {
      const next = await this.#source.next();
      if (next.done) return Buffer.alloc(0);
      this.#rest = next.value;
    }
    const chunk = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(chunk.length);
    return chunk;
  }

  /** @throws CoatError `cut-short` */
  async exactly(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let missing = length; missing > 0; ) {
      const part = await this.some(missing);
      if (part.length === 0) throw new CoatError('cut-short', 'the connection ended in the middle of a transfer');
      parts.push(part);
      missing -= part.length;
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  /** What is left, as a stream. */
  async *remaining(): AsyncGenerator<Buffer> {
    for (let part = await this.some(Infinity); part.length > 0; part = await this.some(Infinity)) yield part;
  }
}

/** A JSON document with its length (4 bytes) in front, so that a stream of bytes can follow it. */
export function headed(document: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(document));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text]);
}

/** The document that {@link headed} made, not yet checked. */
export async function readHead(reader: Reader): Promise<unknown> {
  return JSON.parse((await reader.exactly((await reader.exactly(4)).readUInt32BE())).toString());
}
