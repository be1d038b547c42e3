import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { run } from '../../../driver/host/run.ts';
import { without } from '../../../plugin/transfer/archive.ts';

const LARGE = [randomBytes(200_000), randomBytes(300_001)] as const;
const SMALL = Buffer.from('{"a manifest": 1}');
const digestOf = (content: Buffer): string => createHash('sha256').update(content).digest('hex');
const LONG = 'a'.repeat(150);

let directory: string;
let archive: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'coat-archive-'));
  archive = join(directory, 'image.tar');
  const layout = join(directory, 'layout');
  await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
  for (const content of [...LARGE, SMALL]) await writeFile(join(layout, 'blobs/sha256', digestOf(content)), content);
  await writeFile(join(layout, 'index.json'), SMALL);
  await writeFile(join(layout, LONG), LARGE[0]);
  await symlink('index.json', join(layout, 'link'));
});
afterEach(() => rm(directory, { recursive: true }));

const packed = (format: string): Promise<unknown> => run(['tar', '--create', `--format=${format}`, '--file', archive, '--directory', join(directory, 'layout'), '.', '--transform', 's,^\\./,,']);

it.each(['pax', 'gnu'])('leaves out the large blobs that the reader has, and nothing else (%s)', async (format) => {
  await packed(format);
  const [left, asked]: [string[], string[]] = [[], []];
  const has = async (digest: string): Promise<boolean> => {
    asked.push(digest);
    return digest === `sha256:${digestOf(LARGE[0])}`;
  };
  await writeFile(`${archive}.less`, without(createReadStream(archive, { highWaterMark: 1_000 }), has, left));
  expect(asked.toSorted()).toEqual(LARGE.map((content) => `sha256:${digestOf(content)}`).toSorted());
  expect(left).toEqual([`sha256:${digestOf(LARGE[0])}`]);
  const target = join(directory, 'there');
  await mkdir(target);
  await run(['tar', '--extract', '--file', `${archive}.less`, '--directory', target]);
  expect((await readdir(join(target, 'blobs/sha256'))).toSorted()).toEqual([LARGE[1], SMALL].map(digestOf).toSorted());
  expect(LARGE[1].equals(await readFile(join(target, 'blobs/sha256', digestOf(LARGE[1]))))).toBe(true);
  expect(LARGE[0].equals(await readFile(join(target, LONG)))).toBe(true);
  expect((await readdir(target)).toSorted()).toEqual([LONG, 'blobs', 'index.json', 'link']);
});

it('changes nothing where the reader has nothing', async () => {
  await packed('pax');
  const through = await buffer(without(createReadStream(archive), async () => false, []));
  expect(through.equals(await readFile(archive))).toBe(true);
});

it('ends with what its source or the other side ends with', async () => {
  await packed('pax');
  const bytes = await readFile(archive);
  await expect(buffer(without(Readable.from([bytes.subarray(0, 150_000)]), async () => false, []))).rejects.toMatchObject({ code: 'cut-short' });
  const source = createReadStream(archive);
  await expect(buffer(without(source, async () => Promise.reject(new Error('the peer has gone')), []))).rejects.toThrow('the peer has gone');
  expect(source.destroyed).toBe(true);
});
