import { appendFile, mkdir, mkdtemp, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Peer } from '../../../plugin/agent/peer.ts';
import { createHostSide } from '../../../plugin/criu/host.ts';
import { type Format, frames, jsonLines } from '../../../plugin/migration/log/formats.ts';
import { type LogPlace, placeOfLog } from '../../../plugin/migration/log/place.ts';
import { keepLog, keepRestOfLog } from '../../../plugin/migration/log/receive.ts';
import { sendLog, sendRestOfLog } from '../../../plugin/migration/log/send.ts';

const json = (text: string): Buffer => Buffer.from(`${JSON.stringify({ log: `${text}\n`, stream: 'stdout' })}\n`);

/** An entry of `local` with a stream (field 1) and a line (field 3), each a field of bytes. */
function entry(text: string): Buffer {
  const message = Buffer.concat([Buffer.from([0x0a, 6]), Buffer.from('stdout'), Buffer.from([0x1a, text.length]), Buffer.from(text)]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  return Buffer.concat([length, message, length]);
}

/** Reads a message as a decoder of protocol buffers does that knows the fields 1 and 3 only. */
function lineOf(message: Buffer): string {
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = message[at++]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new Error('a number too long');
  };
  let line = '';
  while (at < message.length) {
    const tag = number();
    if ((tag & 7) === 0) number();
    else {
      const length = number();
      const content = message.subarray(at, (at += length));
      if (content.length < length) throw new Error('cut short');
      if (tag >> 3 === 3) line = content.toString();
    }
  }
  return line;
}

const readers: Record<string, (bytes: Buffer) => string[]> = {
  'json-file': (bytes) => bytes.toString().split('\n').filter((line) => line.trim() !== '').map((line) => (JSON.parse(line) as { log: string }).log.trim()),
  local(bytes) {
    const lines: string[] = [];
    for (let at = 0; at < bytes.length; ) {
      const length = bytes.readUInt32BE(at);
      expect(bytes.readUInt32BE(at + 4 + length)).toBe(length);
      expect(length).toBeLessThanOrEqual(1_000_000);
      lines.push(lineOf(bytes.subarray(at + 4, at + 4 + length)));
      at += length + 8;
    }
    return lines.filter(Boolean);
  },
};

describe.each([
  ['json-file', jsonLines, json],
  ['local', frames, entry],
] as [string, Format, (text: string) => Buffer][])('%s', (driver, format, of) => {
  const read = readers[driver]!;
  const entries = Buffer.concat([of('one'), of('two'), of('three')]);

  test('any room is filled so that there is nothing more to read, and what does not fit is counted', () => {
    for (const more of [...Array(300).keys(), 5_000, 3_000_000]) {
      const { bytes, lost } = format.fill(entries, entries.length + more);
      expect([bytes.length, lost]).toEqual([entries.length + more, 0]);
      expect(read(bytes)).toEqual(['one', 'two', 'three']);
      expect(format.bare(bytes)).toEqual(entries);
    }
    const { bytes, lost } = format.fill(entries, entries.length - 1);
    expect([bytes.length, lost, read(bytes)]).toEqual([entries.length - 1, of('three').length, ['one', 'two']]);
    expect(read(format.fill(Buffer.alloc(0), 10_000).bytes)).toEqual([]);
  });

  test('the last entry is found from anywhere before it', () => {
    for (const from of [0, 1, of('one').length - 1]) expect(format.last(entries.subarray(from))).toBe(of('one').length + of('two').length - from);
    expect(format.last(Buffer.alloc(0))).toBeUndefined();
  });

  test('what has been filled is plain again, in whatever pieces it is read', async () => {
    const filled = Buffer.concat([of('a'), format.fill(entries, 400).bytes, of('b')]);
    for (const size of [1, 7, 1000]) {
      const pieces = Array.from({ length: Math.ceil(filled.length / size) }, (_, i) => filled.subarray(i * size, (i + 1) * size));
      const plain = await buffer(Readable.from(format.plain(Readable.from(pieces) as AsyncIterable<Buffer>)));
      expect(read(plain)).toEqual(['a', 'one', 'two', 'three', 'b']);
      expect(plain).toEqual(Buffer.concat([of('a'), entries, of('b')]));
    }
  });
});

test('only what an engine keeps in files of its own is carried', () => {
  const place = (Type: string, Config: Record<string, string> = {}): Partial<LogPlace> | undefined => placeOfLog('/c', 'id', { Type, Config });
  expect(['journald', 'syslog', 'none'].map((type) => place(type))).toEqual([undefined, undefined, undefined]);
  expect(place('json-file', { 'max-size': '10m', 'max-file': '3', compress: 'true' })).toMatchObject({ path: '/c/id-json.log', capacity: 10e6, files: 3, compress: true });
  expect(place('json-file')).toMatchObject({ capacity: Infinity, files: 1, compress: false });
  expect(place('local')).toMatchObject({ path: '/c/local-logs/container.log', capacity: 20 << 20, files: 5, compress: true });
});

describe('a log on its way', () => {
  let directory: string;
  const host = createHostSide('');
  const never = new AbortController().signal;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'coat-log-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  /** Two engines' places, and the source's way to the destination. */
  async function two(config: Record<string, string>): Promise<{ here: LogPlace; there: LogPlace; peer: Peer }> {
    await mkdir(`${directory}/here`);
    const [here, there] = ['here', 'there'].map((name) => placeOfLog(`${directory}/${name}`, 'id', { Type: 'json-file', Config: config })!) as [LogPlace, LogPlace];
    const upload = async (path: string, body: Readable): Promise<unknown> => {
      const query = new URL(path, 'http://peer').searchParams;
      if (path.startsWith('/v1/moves/log?')) return keepLog(host, there, query.get('suffix')!, body);
      return { placed: await keepRestOfLog(host, there, Number(query.get('at')), query.get('was')!, body) };
    };
    return { here, there, peer: { upload } as unknown as Peer };
  }
  const read = readers['json-file']!;
  const send = ({ here, peer }: Awaited<ReturnType<typeof two>>) => sendLog(host, here, peer, 'm', 0, never, () => undefined);

  test('comes with all that was logged on both sides meanwhile, and as often as it moves', async () => {
    const way = await two({});
    await writeFile(way.here.path, Buffer.concat([json('1'), json('2')]));
    const sent = (await send(way))!;
    await appendFile(way.here.path, Buffer.concat([json('3'), json('4')]));
    await appendFile(way.there.path, json('5'));
    expect(await sendRestOfLog(host, way.here, sent, way.peer, 'm')).toBe(0);
    expect(read(await readFile(way.there.path))).toEqual(['1', '2', '3', '4', '5']);
    // nobody has changed what was the source's
    expect(read(await readFile(way.here.path))).toEqual(['1', '2', '3', '4']);
    // a second time it finds its room taken
    expect(await sendRestOfLog(host, way.here, sent, way.peer, 'm')).toBeGreaterThan(0);

    const back = { here: way.there, there: way.here, peer: { upload: (path: string, body: Readable) => (path.startsWith('/v1/moves/log?') ? keepLog(host, way.here, '', body) : Promise.reject(new Error(path))) } as unknown as Peer };
    expect((await send(back))!.at).toBe(Buffer.concat([json('1'), json('2'), json('3'), json('4')]).length);
  });

  test.each([['plain', false], ['compressed', true]])('is whole where files became old ones at both sides: %s', async (_how, compressed) => {
    const way = await two({ 'max-size': '1k', 'max-file': '9', compress: String(compressed) });
    const becomesOld = async ({ path }: LogPlace): Promise<void> => {
      if (!compressed) return rename(path, `${path}.1`);
      await writeFile(`${path}.1.gz`, gzipSync(await readFile(path)));
      await unlink(path);
    };
    const older = compressed ? '.2.gz' : '.2';
    await writeFile(way.here.path + older, compressed ? gzipSync(json('0')) : json('0'));
    await writeFile(way.here.path, Buffer.concat([json('1'), json('2')]));
    const sent = (await send(way))!;
    await appendFile(way.here.path, json('3'));
    await becomesOld(way.here);
    await writeFile(way.here.path, json('4'));
    await becomesOld(way.there);
    await writeFile(way.there.path, json('5'));
    expect(await sendRestOfLog(host, way.here, sent, way.peer, 'm')).toBe(0);
    const plain = async (suffix: string): Promise<string[]> => {
      const bytes = await readFile(way.there.path + suffix);
      return read(suffix.endsWith('.gz') ? gunzipSync(bytes) : bytes);
    };
    expect([...(await plain(older)), ...(await plain(compressed ? '.1.gz' : '.1')), ...(await plain(''))]).toEqual(['0', '1', '2', '3', '4', '5']);
  });

  test('of one that says nothing does not grow from move to move, nor one that says one thing', async () => {
    const way = await two({});
    for (const content of [Buffer.alloc(0), json('1'), jsonLines.fill(json('1'), 70_000).bytes]) {
      await writeFile(way.here.path, content);
      const sent = (await send(way))!;
      expect([sent.at, sent.room]).toEqual([0, (64 << 10) + jsonLines.bare(content).length]);
      expect(await sendRestOfLog(host, way.here, sent, way.peer, 'm')).toBe(0);
      expect(read(await readFile(way.there.path))).toEqual(read(content));
    }
  });

  test('says how much more was logged than there was room for', async () => {
    const way = await two({});
    await writeFile(way.here.path, json('1'));
    const sent = (await send(way))!;
    const much = json('x'.repeat(sent.room));
    await appendFile(way.here.path, Buffer.concat([json('2'), much]));
    expect(await sendRestOfLog(host, way.here, sent, way.peer, 'm')).toBe(much.length);
    expect(read(await readFile(way.there.path))).toEqual(['1', '2']);
  });
});
