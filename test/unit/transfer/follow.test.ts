import { existsSync } from 'node:fs';
import { mkdtemp, mkdir, readFile, rm, stat, writeFile, appendFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { conclude, follow, type Sizes } from '../../../plugin/transfer/follow.ts';
import { Intake } from '../../../plugin/transfer/intake.ts';
import { headed, Reader, readHead } from '../../../plugin/transfer/reader.ts';

let root: string;
let from: string;
let to: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'coat-follow-'));
  [from, to] = [join(root, 'from'), join(root, 'to')];
  await mkdir(from);
  await mkdir(to);
});
afterEach(() => rm(root, { recursive: true }));

/** All that is sent, in pieces as a connection gives them. */
async function sent(ended: Promise<unknown>, sizes: Sizes = {}): Promise<Buffer> {
  const stream = new PassThrough();
  const pieces: Buffer[] = [];
  // copied: the sender uses its buffers again
  stream.on('data', (piece: Buffer) => pieces.push(Buffer.from(piece)));
  await follow(from, ended, sizes, stream);
  conclude(stream);
  return Buffer.concat(pieces);
}

function taken(bytes: Buffer, pieceLength: number, reserved?: string): Sizes {
  const intake = new Intake(to, reserved === undefined ? {} : { reserved });
  try {
    for (let at = 0; at < bytes.length; at += pieceLength) intake.take(bytes.subarray(at, at + pieceLength));
    return intake.end();
  } finally {
    intake.close();
  }
}

test('files that grow while they are followed arrive whole', async () => {
  const parts = Array.from({ length: 8 }, () => randomBytes(700_001));
  const written = (async () => {
    await writeFile(join(from, 'core-1.img'), 'core');
    await writeFile(join(from, 'empty.img'), '');
    for (const part of parts) await appendFile(join(from, 'pages-1.img'), part);
  })();
  const sizes: Sizes = {};
  const received = taken(await sent(written, sizes), 16_384);
  expect(received).toEqual(sizes);
  expect(await readFile(join(to, 'core-1.img'), 'utf8')).toBe('core');
  expect(await readFile(join(to, 'empty.img'), 'utf8')).toBe('');
  expect(Buffer.concat(parts).equals(await readFile(join(to, 'pages-1.img')))).toBe(true);
});

test('a writer that fails ends the stream before its end mark', async () => {
  await writeFile(join(from, 'core-1.img'), 'core');
  await expect(sent(Promise.reject(new Error('criu failed')))).rejects.toThrow('criu failed');
});

test('a stream that is cut off is never taken for the end', async () => {
  await writeFile(join(from, 'pages-1.img'), randomBytes(100));
  const bytes = await sent(Promise.resolve());
  for (const length of [0, 1, 5, 50, bytes.length - 1]) expect(() => taken(bytes.subarray(0, length), 7)).toThrow('ended in the middle');
  expect(taken(bytes, 1)).toEqual({ 'pages-1.img': 100 });
});

test('the largest file is written into reserved memory, and is no longer than it should be', async () => {
  const pages = randomBytes((1 << 20) + 17);
  await writeFile(join(from, 'pages-2.img'), pages);
  await writeFile(join(from, 'pages-1.img'), 'few');
  await mkdir(join(root, 'memory'));
  await writeFile(join(root, 'memory', 'reserved'), Buffer.alloc(4 << 20, 1));
  const { ino } = await stat(join(root, 'memory', 'reserved'));
  taken(await sent(Promise.resolve()), 65_536, join(root, 'memory', 'reserved'));
  expect((await readFile(join(to, 'pages-2.img'))).equals(pages)).toBe(true);
  expect(await readFile(join(to, 'pages-1.img'), 'utf8')).toBe('few');
  expect((await stat(join(to, 'pages-2.img'))).ino).toBe(ino);
  expect(existsSync(join(root, 'memory', 'reserved'))).toBe(false);
});

test('names cannot climb out of the directory', () => {
  const name = '../evil';
  const bytes = Buffer.concat([Buffer.from([name.length]), Buffer.from(name), Buffer.from([0, 0, 0, 1, 65, 0])]);
  expect(() => taken(bytes, bytes.length)).toThrow('no CRIU image');
});

test('a head and what follows it are told apart', async () => {
  const reader = new Reader(Readable.from([Buffer.concat([headed({ remove: ['ä'] }), Buffer.from('rest')])]));
  expect(await readHead(reader)).toEqual({ remove: ['ä'] });
  const rest: Buffer[] = [];
  for await (const part of reader.remaining()) rest.push(part);
  expect(Buffer.concat(rest).toString()).toBe('rest');
});
