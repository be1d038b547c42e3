import { open, readdir, type FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoatError } from '../../driver/host/errors.ts';
import type { Reader } from './files.ts';

/** How often a directory is looked at for more while nothing new comes, ms. */
const LOOK_EVERY_MS = 2;
/** Read, sent and written at once, bytes. */
const CHUNK = 1 << 20;

/** Memory pages as CRIU writes them: files that only ever grow at their end (criu/image-desc.c, CR_FD_PAGES). */
export const isPages = (name: string): boolean => /^pages-\d+\.img$/.test(name);

/**
 * Sends the page files of a directory while CRIU is still writing them, so that the transfer ends just after the dump.
 *
 * CRIU has a page server for this; it holds its last packet back for the 200 ms of TCP_CORK (tcp(7)), inside the
 * blackout, and every page takes two more copies. The files are in memory, so following them costs less.
 *
 * Frames: length of the name (1 byte, 0 ends the stream), the name, length of the data (4 bytes), the data.
 *
 * @param ended settles when no more will be written; what it rejects with ends the stream
 */
export async function* follow(directory: string, ended: Promise<unknown>): AsyncGenerator<Buffer> {
  let writing = true;
  const over = ended.finally(() => (writing = false));
  over.catch(() => undefined);
  const files = new Map<string, { handle: FileHandle; at: number }>();
  try {
    for (;;) {
      // asked before the look, so that a last look follows the end
      const last = !writing;
      let fresh = false;
      for (const name of (await readdir(directory)).filter(isPages)) {
        const file = files.get(name) ?? { handle: await open(`${directory}/${name}`), at: 0 };
        files.set(name, file);
        for (;;) {
          const buffer = Buffer.allocUnsafe(CHUNK);
          const { bytesRead } = await file.handle.read(buffer, 0, CHUNK, file.at);
          if (bytesRead === 0) break;
          file.at += bytesRead;
          fresh = true;
          yield frame(name, bytesRead);
          yield buffer.subarray(0, bytesRead);
        }
      }
      if (last) break;
      if (!fresh) await Promise.race([sleep(LOOK_EVERY_MS), over.catch(() => undefined)]);
    }
    await over;
    yield Buffer.from([0]);
  } finally {
    await Promise.all([...files.values()].map(({ handle }) => handle.close()));
  }
}

/** The other end of {@link follow}. @returns the size of each file. @throws CoatError `cut-short`, `bad-transfer` */
export async function receiveFollowed(directory: string, reader: Reader): Promise<Map<string, number>> {
  const files = new Map<string, { handle: FileHandle; size: number }>();
  try {
    for (;;) {
      const length = (await reader.exactly(1))[0]!;
      if (length === 0) return new Map([...files].map(([name, { size }]) => [name, size]));
      const name = (await reader.exactly(length)).toString();
      if (!isPages(name)) throw new CoatError('bad-transfer', `a file named ${name} was sent as memory pages`);
      const file = files.get(name) ?? { handle: await open(`${directory}/${name}`, 'w'), size: 0 };
      files.set(name, file);
      for (let missing = (await reader.exactly(4)).readUInt32BE(); missing > 0; ) {
        const part = await reader.some(missing);
        if (part.length === 0) throw new CoatError('cut-short', 'the connection ended in the middle of a transfer');
        await file.handle.write(part);
        file.size += part.length;
        missing -= part.length;
      }
    }
  } finally {
    await Promise.all([...files.values()].map(({ handle }) => handle.close()));
  }
}

function frame(name: string, size: number): Buffer {
  const head = Buffer.alloc(1 + name.length + 4);
  head.writeUInt8(name.length, 0);
  head.write(name, 1, 'latin1');
  head.writeUInt32BE(size, 1 + name.length);
  return head;
}
