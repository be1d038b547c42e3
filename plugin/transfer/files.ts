import { createReadStream } from 'node:fs';
import { readdir, rm, stat, writeFile, open } from 'node:fs/promises';
import { Readable } from 'node:stream';
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
    return Buffer.concat(parts);
  }

  /** What is left, as a stream. */
  async *remaining(): AsyncGenerator<Buffer> {
    for (let part = await this.some(Infinity); part.length > 0; part = await this.some(Infinity)) yield part;
  }
}

/**
 * A flat directory as one stream: the length of a JSON list `[{name, size}]` in four bytes, the list, the contents
 * one after the other. The list comes first and the length is known, so the end of a transfer that was cut off
 * is never taken for the end of the data.
 */
export async function packFlat(directory: string, leaveOut: (name: string) => boolean = () => false): Promise<{ stream: Readable; bytes: number }> {
  const entries = (await readdir(directory)).filter((name) => !leaveOut(name));
  const files = await Promise.all(entries.map(async (name) => ({ name, size: (await stat(`${directory}/${name}`)).size })));
  const list = Buffer.from(JSON.stringify(files));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(list.length);
  async function* parts(): AsyncGenerator<Buffer> {
    yield Buffer.concat([length, list]);
    for (const file of files) {
      if (file.size > 0) yield* createReadStream(`${directory}/${file.name}`, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>;
    }
  }
  return { stream: Readable.from(parts(), { objectMode: false, highWaterMark: 1 << 20 }), bytes: files.reduce((sum, file) => sum + file.size, 0) };
}

/** The other end of {@link packFlat}. @returns bytes written. @throws CoatError `cut-short` */
export async function unpackFlat(directory: string, reader: Reader): Promise<number> {
  const list = JSON.parse((await reader.exactly((await reader.exactly(4)).readUInt32BE())).toString()) as { name: string; size: number }[];
  let bytes = 0;
  for (const { name, size } of list) {
    if (name.includes('/') || name === '..') throw new CoatError('bad-transfer', `a file named ${name} was sent, which no CRIU image is called`);
    bytes += size;
    if (size <= 1 << 20) {
      await writeFile(`${directory}/${name}`, await reader.exactly(size));
      continue;
    }
    const file = await open(`${directory}/${name}`, 'w');
    try {
      for (let missing = size; missing > 0; ) {
        const part = await reader.some(missing);
        if (part.length === 0) throw new CoatError('cut-short', 'the connection ended in the middle of a transfer');
        await file.write(part);
        missing -= part.length;
      }
    } finally {
      await file.close();
    }
  }
  return bytes;
}

/** Removes paths below `root`, whatever they are. Paths that could climb out are refused. */
export async function removeBelow(root: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    if (path.startsWith('/') || path.split('/').includes('..')) throw new CoatError('bad-transfer', `the path ${path} leads out of the container`);
    await rm(`${root}/${path}`, { recursive: true, force: true });
  }
}
