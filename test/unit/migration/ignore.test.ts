import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { HostSide } from '../../../plugin/criu/host.ts';
import { ignoresOf, parseIgnores } from '../../../plugin/migration/ignore.ts';
import { mappings, openedBy } from '../../../plugin/migration/opened.ts';

let root: string;
const host = { path: (path: string) => join(root, path) } as HostSide;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'coat-ignore-'));
  mkdirSync(join(root, 'proc/7/root'), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true }));
const write = (text: string): void => writeFileSync(join(root, 'proc/7/root/.coatignore'), text);

test('no rules where there are none', async () => {
  expect(await ignoresOf(host, 7, null)).toBeUndefined();
  write('# nothing\n\n');
  expect(await ignoresOf(host, 7, {})).toBeUndefined();
});

test('the file first, then the label, as in .dockerignore', async () => {
  write('/srv/cache\n**/*.log\n');
  const ignores = (await ignoresOf(host, 7, { 'io.coat.ignore': '!srv/cache/keep\nvar/tmp/*' }))!;
  const left = ['srv/cache', 'srv/cache/a/b', 'a.log', 'var/log/b.log', 'var/tmp/x'];
  const taken = ['srv/cache/keep', 'srv/other', 'SRV/CACHE', 'var/tmp', 'a.logs'];
  expect([...left, ...taken].filter(ignores)).toEqual(left);
});

test('a link or a pipe is no file of rules', async () => {
  writeFileSync(join(root, 'secret'), '*');
  symlinkSync(join(root, 'secret'), join(root, 'proc/7/root/.coatignore'));
  expect(await ignoresOf(host, 7, undefined)).toBeUndefined();
  rmSync(join(root, 'proc/7/root/.coatignore'));
  execFileSync('mkfifo', [join(root, 'proc/7/root/.coatignore')]);
  expect(await ignoresOf(host, 7, undefined)).toBeUndefined();
});

test('a rule that cannot be read is refused', () => {
  expect(() => parseIgnores('srv/[z-a]')).toThrow(expect.objectContaining({ code: 'bad-ignore', hint: expect.stringMatching(/./) as string }) as Error);
});

test('what is mapped, and what of it for writing', () => {
  expect(mappings('7f-80 rw-s 00000000 fe:00 12    /srv/a b (deleted)\n80-81 r--p 0 00:00 0 \n81-82 r--s 0 fe:00 1  /srv/r\\012\n82-83 rw-p 0 00:00 0 [heap]\n')).toEqual([
    { path: '/srv/a b (deleted)', shared: true },
    { path: '/srv/r\n', shared: false },
  ]);
});

test('what processes hold, with the directories above', async () => {
  for (const part of ['fd', 'net']) mkdirSync(join(root, 'proc/7', part), { recursive: true });
  symlinkSync('/srv/cache/deep/file (deleted)', join(root, 'proc/7/fd/3'));
  symlinkSync('/work', join(root, 'proc/7/cwd'));
  writeFileSync(join(root, 'proc/7/maps'), '7f-80 rw-s 0 fe:00 12    /data/map\n');
  writeFileSync(join(root, 'proc/7/net/unix'), 'Num       RefCount Protocol Flags    Type St Inode Path\n0000000000000000: 00000002 00000000 00010000 0001 01 31337 /run/one.sock\n0000: 00000002 00000000 00010000 0001 01 4 @abstract\n');
  const { held, written } = await openedBy(host, [7]);
  expect([...held].sort()).toEqual(['/data', '/data/map', '/run', '/run/one.sock', '/srv', '/srv/cache', '/srv/cache/deep', '/srv/cache/deep/file', '/work']);
  expect([...written]).toEqual(['/data/map']);
});
