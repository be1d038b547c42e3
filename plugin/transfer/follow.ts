import { closeSync, fstatSync, openSync, readdirSync, readSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoatError } from '../../driver/host/errors.ts';
import type { Reader } from './reader.ts';

/** How often a directory is looked at for more while nothing new comes, ms. */
const LOOK_EVERY_MS = 2;
/** Read, sent and written at once, bytes. */
const CHUNK = 1 << 20;

/** Size of every file, by name. */
export type Sizes = Record<string, number>;

/**
 * Sends the files of a flat directory while CRIU is still writing them, so that the transfer ends just after the dump.
 * CRIU writes each of its images from the beginning to the end; their sizes are compared before they are used.
 *
 * CRIU has a page server for the largest of them; it holds its last packet back for the 200 ms of TCP_CORK (tcp(7)),
 * inside the blackout, and every page takes two more copies. The directory is in memory, which is also why it is read
 * and written synchronously: a trip to a thread costs more than the copy.
 *
 * Frames: length of the name (1 byte, 0 ends the stream), the name, length of the data (4 bytes), the data.
 *
 * @param ended settles when no more will be written; what it rejects with ends the stream
 * @param sizes filled with what was sent
 */
export async function* follow(directory: string, ended: Promise<unknown>, sizes: Sizes): AsyncGenerator<Buffer> {
  let writing = true;
  const over = ended.finally(() => (writing = false));
  over.catch(() => undefined);
  const files = new Map<string, number>();
  try {
    for (;;) {
      // asked before the look, so that a last look follows the end
      const last = !writing;
      let fresh = false;
      for (const name of readdirSync(directory)) {
        const file = files.get(name) ?? openSync(`${directory}/${name}`, 'r');
        files.set(name, file);
        sizes[name] ??= 0;
        for (let waiting = fstatSync(file).size - sizes[name]; waiting > 0; ) {
          const frame = readFrame(file, name, sizes[name], Math.min(waiting, CHUNK));
          waiting -= frame.length;
          sizes[name] += frame.length;
          fresh = true;
          yield frame.bytes;
        }
      }
      if (last) break;
      if (!fresh) await Promise.race([sleep(LOOK_EVERY_MS), over.catch(() => undefined)]);
    }
    await over;
    yield Buffer.from([0]);
  } finally {
    for (const file of files.values()) closeSync(file);
  }
}

/** The other end of {@link follow}. @throws CoatError `cut-short`, `bad-transfer` */
export async function receiveFollowed(directory: string, reader: Reader): Promise<Sizes> {
  const files = new Map<string, number>();
  const sizes: Sizes = {};
  try {
    for (;;) {
      const length = (await reader.exactly(1))[0]!;
      if (length === 0) return sizes;
      const name = (await reader.exactly(length)).toString();
      if (name.includes('/') || name === '..' || name === '.') throw new CoatError('bad-transfer', `a file named ${name} was sent, which no CRIU image is called`);
      const file = files.get(name) ?? openSync(`${directory}/${name}`, 'w', 0o600);
      files.set(name, file);
      for (let missing = (await reader.exactly(4)).readUInt32BE(); missing > 0; ) {
        const part = await reader.some(missing);
        if (part.length === 0) throw new CoatError('cut-short', 'the connection ended in the middle of a transfer');
        for (let written = 0; written < part.length; ) written += writeSync(file, part, written);
        sizes[name] = (sizes[name] ?? 0) + part.length;
        missing -= part.length;
      }
    }
  } finally {
    for (const file of files.values()) closeSync(file);
  }
}

/** Whether everything that was sent has come. Empty files are not sent. @returns a sentence about what is missing */
export function missing(sent: Sizes, received: Sizes): string | undefined {
  const name = Object.keys(sent).find((file) => (sent[file] ?? 0) !== (received[file] ?? 0));
  return name === undefined ? undefined : `${name} has ${received[name] ?? 0} bytes of ${sent[name]}`;
}

export const isPages = (name: string): boolean => /^pages-\d+\.img$/.test(name);

function readFrame(file: number, name: string, at: number, length: number): { bytes: Buffer; length: number } {
  const head = 1 + Buffer.byteLength(name) + 4;
  const bytes = Buffer.allocUnsafe(head + length);
  bytes.writeUInt8(head - 5, 0);
  bytes.write(name, 1);
  const read = readSync(file, bytes, head, length, at);
  bytes.writeUInt32BE(read, head - 4);
  return { bytes: bytes.subarray(0, head + read), length: read };
}
