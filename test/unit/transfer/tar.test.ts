import { lstat, mkdtemp, mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { run } from '../../../driver/host/run.ts';
import { applyRemovals, deltaOf } from '../../../plugin/transfer/delta.ts';
import { pack, unpack } from '../../../plugin/transfer/tar.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'coat-tar-'));
  await mkdir(join(root, 'from/dir'), { recursive: true });
  await mkdir(join(root, 'to'));
});
afterEach(() => rm(root, { recursive: true }));

test('a layer arrives with whiteouts, owners, modes, times and links', async () => {
  const from = join(root, 'from');
  await writeFile(join(from, 'dir/file'), 'content');
  await run(['chown', '1234:4321', join(from, 'dir/file')]);
  await run(['chmod', '4755', join(from, 'dir/file')]);
  await symlink('/nowhere', join(from, 'link'));
  await run(['ln', join(from, 'dir/file'), join(from, 'hard')]);
  await run(['mknod', join(from, 'gone'), 'c', '0', '0']);
  const packing = pack(from);
  await unpack(join(root, 'to'), packing.stream, 'upper');
  await packing.done;
  const [was, is] = await Promise.all(['from', 'to'].map((side) => lstat(join(root, side, 'dir/file'), { bigint: true })));
  expect([is!.uid, is!.gid, is!.mode, is!.mtimeNs, is!.nlink]).toEqual([was!.uid, was!.gid, was!.mode, was!.mtimeNs, 2n]);
  expect(await readlink(join(root, 'to/link'))).toBe('/nowhere');
  expect((await lstat(join(root, 'to/gone'))).isCharacterDevice()).toBe(true);
});

test('only the named paths are packed, and replace what is there', async () => {
  await writeFile(join(root, 'from/dir/a'), 'new');
  await writeFile(join(root, 'from/dir/b'), 'not sent');
  await mkdir(join(root, 'to/dir'));
  await writeFile(join(root, 'to/dir/a'), 'old');
  const packing = pack(join(root, 'from'), ['dir', 'dir/a']);
  await unpack(join(root, 'to'), packing.stream, 'merged');
  await packing.done;
  expect(await readFile(join(root, 'to/dir/a'), 'utf8')).toBe('new');
  await expect(lstat(join(root, 'to/dir/b'))).rejects.toThrow('ENOENT');
});

test('a tar that begins to read late has everything, whatever the size', async () => {
  const [bin, path] = [join(root, 'bin'), process.env.PATH];
  await mkdir(bin);
  await writeFile(join(bin, 'tar'), '#!/bin/sh\nsleep 0.05\nPATH=${PATH#*:} exec tar "$@"\n', { mode: 0o755 });
  // around what the kernel keeps of a pipe nobody reads, in small pieces
  for (let size = 96 << 10; size <= 288 << 10; size += 8 << 10) {
    await writeFile(join(root, 'from/dir/file'), randomBytes(size));
    const pieces: Buffer[] = [];
    for await (const piece of pack(join(root, 'from')).stream) for (let at = 0; at < (piece as Buffer).length; at += 4_096) pieces.push((piece as Buffer).subarray(at, at + 4_096));
    process.env.PATH = `${bin}:${path}`;
    try {
      await unpack(join(root, 'to'), Readable.from(pieces, { objectMode: false }), 'upper');
    } finally {
      process.env.PATH = path;
    }
    expect((await lstat(join(root, 'to/dir/file'))).size).toBe(size);
  }
});

test.each([['has broken off already', true], ['breaks off', false]])('a stream that %s is an error, and tar has ended then', async (_, already) => {
  const archive = (await pack(join(root, 'from')).stream.toArray()) as Buffer[];
  const stream = new PassThrough();
  stream.write(archive[0]!.subarray(0, 600));
  if (already) stream.destroy();
  else setTimeout(() => stream.destroy(), 50);
  await new Promise(setImmediate);
  await expect(unpack(join(root, 'to'), stream, 'upper')).rejects.toThrow();
  await rm(join(root, 'to'), { recursive: true });
});

test('removals stay inside', async () => {
  for (const path of ['../from', '/etc', 'a/../../from']) {
    await expect(applyRemovals(join(root, 'to'), { remove: [path], entries: {} })).rejects.toThrow('leads out of the container');
    await expect(applyRemovals(join(root, 'to'), { remove: [], entries: { [path]: [] } })).rejects.toThrow('leads out of the container');
  }
});

test('a changed directory loses what it does not have at the source, and only that', async () => {
  await writeFile(join(root, 'from/dir/kept'), '');
  await mkdir(join(root, 'to/dir/of-the-image'), { recursive: true });
  await writeFile(join(root, 'to/dir/kept'), '');
  await writeFile(join(root, 'to/elsewhere'), '');
  await applyRemovals(join(root, 'to'), await deltaOf({ remove: ['was-never-there'], copy: [], directories: ['dir'] }, join(root, 'from')));
  expect(await readdir(join(root, 'to/dir'))).toEqual(['kept']);
  expect(await readdir(join(root, 'to'))).toEqual(['dir', 'elsewhere']);
});
