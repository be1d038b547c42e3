import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { createGunzip, createGzip } from 'node:zlib';
import { z } from 'zod';
import type { Peer } from '../../agent/peer.ts';
import type { HostSide } from '../../criu/host.ts';
import { closeLog, type LogFile, type LogPlace, openLog } from './place.ts';

/** What the source remembers of a log that it has sent while the container ran. */
export const SentLog = z.object({
  /** How much of the file that was the newest is sent for good. */
  sent: z.number(),
  /** By which that is known, whatever it is called by then: the hash of its bytes from one place to another. */
  mark: z.object({ from: z.number(), to: z.number(), hash: z.string() }),
  /** At the destination: where the rest goes, how much room there is for it, and the hash of what is there so far. */
  at: z.number(),
  room: z.number(),
  was: z.string(),
});
export type SentLog = z.infer<typeof SentLog>;

/** Room for what is logged until the container stands still, bytes: so much, and what was logged before in so many ms. */
const ROOM = 64 << 10;
const ROOM_FOR_MS = 10_000;
const MOST_ROOM = 16 << 20;
/** However small a log is to be. */
const LEAST_ROOM = 8 << 10;
/** An entry is not longer than that by much, bytes (moby daemon/logger/copier.go: lines of 16 KiB). */
const ENTRY = 1 << 20;
/** Around the place up to which a file is sent: the time of one entry, and another entry, make it one of a kind. */
const MARK = 4096;

/** How much a log takes, bytes, and how much of it is in which newest file, at a moment (performance.now(), ms). */
export interface Length {
  size: number;
  inode: number;
  newest: number;
  at: number;
}

export async function lengthOf(host: HostSide, place: LogPlace): Promise<Length> {
  const files = await openLog(host, place);
  const sizes = await Promise.all(files.map(async ({ handle }) => (await handle.stat()).size));
  await closeLog(files);
  return { size: sizes.reduce((sum, size) => sum + size, 0), inode: files.at(-1)?.inode ?? 0, newest: sizes.at(-1) ?? 0, at: performance.now() };
}

/** At which rate was logged between two moments, bytes a ms. */
export function rateOf(before: Length, after: Length): number {
  return (before.inode === after.inode ? after.newest - before.newest : after.newest) / (after.at - before.at);
}

/**
 * Sends a log while its container runs, but for the last entry, and room for what will follow that.
 *
 * The destination's engine opens the newest file when the container is started, before the freeze, and counts by itself from there how long it is:
 * what is written into it later by others is not seen (moby daemon/logger/loggerutils/logfile.go). So the file gets its whole length before, and
 * the room is written over when it is known what belongs there.
 *
 * @param rate at which the container logs, bytes a ms
 */
export async function sendLog(host: HostSide, place: LogPlace, peer: Peer, id: string, rate: number, signal: AbortSignal, sent: (bytes: number) => void): Promise<SentLog | undefined> {
  const files = await openLog(host, place);
  try {
    const counted = async function* (pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const bytes of pieces) {
        sent(bytes.length);
        yield bytes;
      }
    };
    const upload = (suffix: string, pieces: AsyncIterable<Buffer>): Promise<unknown> =>
      peer.upload(`/v1/moves/log?${new URLSearchParams({ id, suffix }).toString()}`, Readable.from(counted(pieces), { objectMode: false }), { signal });
    for (const { suffix, handle } of files) {
      if (suffix === '') continue;
      const content = handle.createReadStream({ autoClose: false, start: 0 });
      // the engine looks for a plain one only until it has compressed it, and would overwrite it then
      if (place.compress && !suffix.endsWith('.gz')) await upload(`${suffix}.gz`, content.pipe(createGzip()));
      else await upload(suffix, content);
    }
    const newest = files.find(({ suffix }) => suffix === '');
    if (newest === undefined) return undefined;
    const { size } = await newest.handle.stat();
    const from = await lastEntry(newest.handle, size, place);
    const last = place.format.bare(await read(newest.handle, from, size));
    const room = last.length + roomFor(place, from, rate);
    const filling = place.format.fill(last, room).bytes;
    let at = 0;
    const all = async function* (): AsyncGenerator<Buffer> {
      const before = from === 0 ? [] : newest.handle.createReadStream({ autoClose: false, start: 0, end: from - 1 });
      for await (const bytes of place.format.plain(before as AsyncIterable<Buffer>)) {
        at += bytes.length;
        yield bytes;
      }
      yield filling;
    };
    await upload('', all());
    const mark = { from: Math.max(0, from - MARK), to: Math.min(size, from + MARK) };
    return { sent: from, mark: { ...mark, hash: hash(await read(newest.handle, mark.from, mark.to)) }, at, room, was: hash(filling) };
  } finally {
    await closeLog(files);
  }
}

/**
 * Sends what has been logged since, of a container that has ended.
 *
 * @returns how many bytes have found no room
 */
export async function sendRestOfLog(host: HostSide, place: LogPlace, log: SentLog, peer: Peer, id: string): Promise<number> {
  const files = await openLog(host, place);
  try {
    const { bytes, lost } = place.format.fill(place.format.bare(await since(files, log)), log.room);
    const query = new URLSearchParams({ id, at: String(log.at), was: log.was }).toString();
    const { placed } = await peer.upload<{ placed: boolean }>(`/v1/moves/log-rest?${query}`, Readable.from([bytes], { objectMode: false }));
    return placed ? lost : bytes.length;
  } finally {
    await closeLog(files);
  }
}

/** All that was written after what was sent: the rest of the file that was the newest then, whatever it is called by now, and newer ones. */
async function since(files: readonly LogFile[], { sent, mark }: SentLog): Promise<Buffer> {
  const newer: Buffer[] = [];
  for (const { handle, suffix } of [...files].reverse()) {
    const content = await read(handle, 0, (await handle.stat()).size);
    const plain = suffix.endsWith('.gz') ? await buffer(Readable.from([content], { objectMode: false }).pipe(createGunzip())) : content;
    // an inode would not do: a file that comes may have that of one that went
    const known = mark.to > mark.from && hash(plain.subarray(mark.from, mark.to)) === mark.hash;
    newer.unshift(known ? plain.subarray(sent) : plain);
    if (known) break;
  }
  return Buffer.concat(newer);
}

/** Where the last entry begins. It may just be written, and then the one before is. */
async function lastEntry(file: FileHandle, size: number, { format }: LogPlace): Promise<number> {
  const start = Math.max(0, size - ENTRY);
  return start + (format.last(await read(file, start, size)) ?? 0);
}

function roomFor({ capacity, files }: LogPlace, from: number, rate: number): number {
  const wanted = Math.min(MOST_ROOM, ROOM + Math.ceil(rate * ROOM_FOR_MS));
  // where there is one file only, a full one is thrown away
  return files > 1 ? wanted : Math.max(LEAST_ROOM, Math.min(wanted, capacity - from - 1));
}

async function read(file: FileHandle, from: number, to: number): Promise<Buffer> {
  const bytes = Buffer.alloc(to - from);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, from);
  return bytes.subarray(0, bytesRead);
}

export const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
