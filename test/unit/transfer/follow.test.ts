import { mkdtemp, mkdir, readFile, rm, writeFile, appendFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { follow, missing, receiveFollowed, type Sizes } from '../../../plugin/transfer/follow.ts';
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

const carry = (ended: Promise<unknown>, sizes: Sizes): Promise<Sizes> => receiveFollowed(to, new Reader(Readable.from(follow(from, ended, sizes), { objectMode: false })));

test('files that grow while they are followed arrive whole', async () => {
  const parts = Array.from({ length: 8 }, () => randomBytes(700_001));
  const written = (async () => {
    await writeFile(join(from, 'core-1.img'), 'core');
    for (const part of parts) await appendFile(join(from, 'pages-1.img'), part);
  })();
  const sent: Sizes = {};
  const received = await carry(written, sent);
  expect(missing(sent, received)).toBeUndefined();
  expect(await readFile(join(to, 'core-1.img'), 'utf8')).toBe('core');
  expect(Buffer.concat(parts).equals(await readFile(join(to, 'pages-1.img')))).toBe(true);
});

test('a writer that fails ends the stream before its end mark', async () => {
  await writeFile(join(from, 'core-1.img'), 'core');
  await expect(carry(Promise.reject(new Error('criu failed')), {})).rejects.toThrow('criu failed');
});

test('a stream that is cut off is never taken for the end', async () => {
  await writeFile(join(from, 'pages-1.img'), randomBytes(100));
  const whole: Buffer[] = [];
  for await (const part of follow(from, Promise.resolve(), {})) whole.push(part);
  const bytes = Buffer.concat(whole);
  for (const length of [0, 1, 5, 50, bytes.length - 1]) {
    await expect(receiveFollowed(to, new Reader(Readable.from([bytes.subarray(0, length)])))).rejects.toThrow('ended in the middle');
  }
});

test('names cannot climb out of the directory', async () => {
  const name = '../evil';
  const bytes = Buffer.concat([Buffer.from([name.length]), Buffer.from(name), Buffer.from([0, 0, 0, 1, 65, 0])]);
  await expect(receiveFollowed(to, new Reader(Readable.from([bytes])))).rejects.toThrow('no CRIU image');
});

test('what is missing is named; empty files need not be sent', () => {
  expect(missing({ a: 3, empty: 0 }, { a: 3 })).toBeUndefined();
  expect(missing({ a: 3, b: 7 }, { a: 3, b: 5 })).toBe('b has 5 bytes of 7');
});

test('a head and what follows it are told apart', async () => {
  const reader = new Reader(Readable.from([Buffer.concat([headed({ remove: ['ä'] }), Buffer.from('rest')])]));
  expect(await readHead(reader)).toEqual({ remove: ['ä'] });
  const rest: Buffer[] = [];
  for await (const part of reader.remaining()) rest.push(part);
  expect(Buffer.concat(rest).toString()).toBe('rest');
});
