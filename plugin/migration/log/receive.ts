import { createWriteStream } from 'node:fs';
import { type FileHandle, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import { CoatError } from '../../../driver/host/errors.ts';
import type { HostSide } from '../../criu/host.ts';
import { closeLog, isSuffix, type LogFile, type LogPlace, openLog } from './place.ts';
import { hash } from './send.ts';

/** Takes one of a log's files in, of a container that has not been started. */
export async function keepLog(host: HostSide, { path }: LogPlace, suffix: string, stream: Readable): Promise<void> {
  if (!isSuffix(suffix)) throw new CoatError('bad-transfer', `a log was sent with the name ${suffix}, which no engine gives it`);
  await mkdir(dirname(host.path(path)), { recursive: true, mode: 0o700 });
  await pipeline(stream, createWriteStream(host.path(path + suffix), { mode: 0o640 }));
}

/** How long the engine may take to compress a file, ms, and how often it is looked whether it has. */
const COMPRESSED_MS = 10_000;
const LOOK_EVERY_MS = 50;
/** In how many of the newest files the room may be by now. */
const LOOKED_AT = 3;

/**
 * Writes the rest of a log into the room that is kept for it, whatever the engine has written behind that, and whatever has become of the file.
 *
 * @param was hash of what stands there
 * @returns whether it was found: the user may have removed the container
 */
export async function keepRestOfLog(host: HostSide, place: LogPlace, at: number, was: string, stream: Readable): Promise<boolean> {
  const room: Room = { at, was, rest: await buffer(stream) };
  for (let patience = COMPRESSED_MS / LOOK_EVERY_MS; patience > 0; patience--) {
    const files = await openLog(host, place, 'r+');
    try {
      const tried: Written[] = [];
      for (const file of files.slice(-LOOKED_AT)) tried.push(await write(file, place, room));
      if (tried.includes('written')) return true;
      if (!tried.includes('later')) return false;
    } finally {
      await closeLog(files);
    }
    await sleep(LOOK_EVERY_MS);
  }
  return false;
}

interface Room { at: number; was: string; rest: Buffer }
/** `later`: the engine is about to compress it. */
type Written = 'written' | 'not here' | 'later';

async function write({ suffix, handle }: LogFile, { compress }: LogPlace, { at, was, rest }: Room): Promise<Written> {
  if (suffix.endsWith('.gz')) {
    const plain = gunzipSync(await readAll(handle));
    if (hash(plain.subarray(at, at + rest.length)) !== was) return 'not here';
    rest.copy(plain, at);
    const packed = gzipSync(plain);
    // in its place: the engine may give it another name at any time
    await handle.truncate(0);
    await handle.write(packed, 0, packed.length, 0);
    return 'written';
  }
  const there = Buffer.alloc(rest.length);
  await handle.read(there, 0, there.length, at);
  if (hash(there) !== was) return 'not here';
  if (compress && suffix !== '') return 'later';
  await handle.write(rest, 0, rest.length, at);
  return 'written';
}

async function readAll(handle: FileHandle): Promise<Buffer> {
  const bytes = Buffer.alloc((await handle.stat()).size);
  await handle.read(bytes, 0, bytes.length, 0);
  return bytes;
}
