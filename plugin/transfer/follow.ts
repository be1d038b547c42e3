import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../../driver/host/errors.ts';
import { Outlet } from './outlet.ts';

/** How often a directory is looked at for more while nothing new comes, ms. */
const LOOK_EVERY_MS = 2;
/** Read, sent and written at once, bytes. */
export const CHUNK = 1 << 20;
/** Length of a name (1 byte), the name, length of the data (4 bytes). */
export const HEAD_LIMIT = 1 + 255 + 4;

/** Size of every file, by name. */
export type Sizes = Record<string, number>;

/**
 * Sends the files of a flat directory while CRIU is still writing them, so that the transfer ends just after the dump.
 * CRIU writes each of its images from the beginning to the end.
 *
 * CRIU has a page server for the largest of them; it holds its last packet back for the 200 ms of TCP_CORK (tcp(7)),
 * inside the blackout, and every page takes two more copies. The directory is in memory, which is also why it is read
 * and written synchronously: a trip to a thread costs more than the copy.
 *
 * Frames: length of the name (1 byte, 0 ends the stream), the name, length of the data (4 bytes), the data.
 *
 * @param ended settles when no more will be written; what it rejects with ends the transfer
 * @param sizes filled with what was sent
 * @returns when all has been handed to the kernel; {@link conclude} is still to come
 */
export async function follow(directory: string, ended: Promise<unknown>, sizes: Sizes, stream: Writable): Promise<void> {
  let writing = true;
  const over = ended.finally(() => (writing = false));
  over.catch(() => undefined);
  const outlet = new Outlet(stream, HEAD_LIMIT + CHUNK);
  const files = new Map<string, number>();
  try {
    for (;;) {
      // asked before the look, so that a last look follows the end
      const last = !writing;
      let fresh = false;
      for (const name of readdirSync(directory)) {
        const file = files.get(name) ?? openIfThere(`${directory}/${name}`);
        // a link that is still waiting for its file
        if (file === undefined) continue;
        files.set(name, file);
        sizes[name] ??= 0;
        for (let waiting = fstatSync(file).size - sizes[name]; waiting > 0 || (last && sizes[name] === 0); ) {
          const buffer = await outlet.buffer();
          const { head, length } = readFrame(buffer, file, name, sizes[name], Math.min(waiting, CHUNK));
          outlet.send(buffer.subarray(0, head + length));
          waiting -= length;
          sizes[name] += length;
          fresh = true;
          if (length === 0) break;
        }
      }
      if (last) break;
      if (!fresh) await Promise.race([sleep(LOOK_EVERY_MS), over.catch(() => undefined)]);
    }
    await over;
    await outlet.flushed();
  } finally {
    for (const file of files.values()) closeSync(file);
  }
}

/** Says that everything was sent. Without this word nothing of it will be used. */
export function conclude(stream: Writable): void {
  stream.end(Buffer.from([0]));
}

/** Bytes of pages, and of all else. */
export function totals(sizes: Sizes): { memory: number; state: number } {
  const total = (pages: boolean): number => Object.entries(sizes).reduce((sum, [name, size]) => sum + (isPages(name) === pages ? size : 0), 0);
  return { memory: total(true), state: total(false) };
}

export const isPages = (name: string): boolean => /^pages-\d+\.img$/.test(name);

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    return undefined;
  }
}

function readFrame(bytes: Buffer, file: number, name: string, at: number, most: number): { head: number; length: number } {
  const head = 1 + Buffer.byteLength(name) + 4;
  bytes.writeUInt8(head - 5, 0);
  bytes.write(name, 1);
  const length = readSync(file, bytes, head, most, at);
  bytes.writeUInt32BE(length, head - 4);
  return { head, length };
}
