import { closeSync, ftruncateSync, openSync, renameSync, symlinkSync, writeSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { CoatError } from '../../driver/host/errors.ts';
import { CHUNK, HEAD_LIMIT, isPages, type Sizes } from './follow.ts';

interface Frame {
  name: string;
  file: number;
  /** Bytes of it that have not come yet. */
  missing: number;
}

/**
 * The other end of `follow`: takes pieces of any size, and writes them as they come.
 *
 * The largest file is written into memory that was there before: the kernel need neither find nor clear it then.
 */
export class Intake {
  readonly #directory: string;
  #reserved: string | undefined;
  readonly #elsewhere: Record<string, string>;
  readonly #files = new Map<string, number>();
  readonly #sizes: Sizes = {};
  readonly #head = Buffer.allocUnsafe(HEAD_LIMIT);
  #headLength = 0;
  #frame: Frame | undefined;
  readonly #data = Buffer.allocUnsafe(CHUNK);
  #dataLength = 0;
  #complete = false;

  /**
   * @param reserved a file that may become the largest of them, in its own directory
   * @param elsewhere paths of files that do not go into the directory, by name
   */
  constructor(directory: string, { reserved, elsewhere = {} }: { reserved?: string; elsewhere?: Record<string, string> } = {}) {
    this.#directory = directory;
    this.#reserved = reserved;
    this.#elsewhere = elsewhere;
  }

  /** @throws CoatError `bad-transfer`; afterwards nothing more may be taken */
  take(bytes: Buffer): void {
    for (let rest = bytes; rest.length > 0; ) {
      if (this.#complete) throw new CoatError('bad-transfer', 'something follows the end of a transfer');
      rest = this.#frame ? this.#takeData(rest, this.#frame) : this.#takeHead(rest);
    }
  }

  /** After the last piece. @throws CoatError `cut-short` */
  end(): Sizes {
    this.close();
    if (!this.#complete) throw new CoatError('cut-short', 'the connection ended in the middle of a transfer');
    return this.#sizes;
  }

  /** Whatever has come. */
  close(): void {
    for (const [name, file] of this.#files) {
      // of the reserved one there may be more than was needed
      ftruncateSync(file, this.#sizes[name] ?? 0);
      closeSync(file);
    }
    this.#files.clear();
  }

  #takeHead(bytes: Buffer): Buffer {
    const nameLength = this.#headLength === 0 ? bytes[0]! : this.#head[0]!;
    if (nameLength === 0) {
      this.#complete = true;
      return bytes.subarray(1);
    }
    const wanted = 1 + nameLength + 4;
    const part = bytes.subarray(0, wanted - this.#headLength);
    part.copy(this.#head, this.#headLength);
    this.#headLength += part.length;
    if (this.#headLength === wanted) {
      const missing = this.#head.readUInt32BE(wanted - 4);
      const name = this.#head.toString('utf8', 1, 1 + nameLength);
      this.#headLength = 0;
      const file = this.#open(name, missing);
      if (missing > 0) this.#frame = { name, file, missing };
    }
    return bytes.subarray(part.length);
  }

  #takeData(bytes: Buffer, frame: Frame): Buffer {
    const part = bytes.subarray(0, Math.min(frame.missing, CHUNK - this.#dataLength));
    part.copy(this.#data, this.#dataLength);
    this.#dataLength += part.length;
    frame.missing -= part.length;
    if (frame.missing === 0 || this.#dataLength === CHUNK) this.#write(frame);
    if (frame.missing === 0) this.#frame = undefined;
    return bytes.subarray(part.length);
  }

  #write({ name, file }: Frame): void {
    let at = this.#sizes[name] ?? 0;
    for (let written = 0; written < this.#dataLength; ) {
      const count = writeSync(file, this.#data, written, this.#dataLength - written, at);
      written += count;
      at += count;
    }
    this.#sizes[name] = at;
    this.#dataLength = 0;
  }

  #open(name: string, length: number): number {
    const known = this.#files.get(name);
    if (known !== undefined) return known;
    if (name.includes('/') || name === '..' || name === '.') throw new CoatError('bad-transfer', `a file named ${name} was sent, which no CRIU image is called`);
    const path = this.#elsewhere[name] ?? `${this.#directory}/${name}`;
    let flags = 'w';
    if (this.#reserved !== undefined && isPages(name) && length === CHUNK) {
      const place = join(dirname(this.#reserved), name);
      renameSync(this.#reserved, place);
      // for CRIU, which has other names for the directories above
      symlinkSync(relative(this.#directory, place), path);
      this.#reserved = undefined;
      flags = 'r+';
    }
    const file = openSync(path, flags, 0o600);
    this.#files.set(name, file);
    this.#sizes[name] = 0;
    return file;
  }
}
