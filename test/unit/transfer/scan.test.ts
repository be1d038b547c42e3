import { appendFile, chmod, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { run } from '../../../driver/host/run.ts';
import { difference, scan } from '../../../plugin/transfer/scan.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'coat-scan-'));
  await mkdir(join(root, 'etc/deep'), { recursive: true });
  await writeFile(join(root, 'etc/a'), 'a');
  await writeFile(join(root, 'etc/deep/b'), 'b');
});
afterEach(() => rm(root, { recursive: true }));

test('nothing changed, nothing to do', async () => {
  expect(difference(await scan(root), await scan(root))).toEqual({ remove: [], copy: [], directories: [] });
});

test('new, changed and touched files are copied, gone ones removed once with all below them', async () => {
  const before = await scan(root);
  await writeFile(join(root, 'new'), 'n');
  await writeFile(join(root, 'etc/a'), 'b');
  await rm(join(root, 'etc/deep'), { recursive: true });
  const { remove, copy } = difference(before, await scan(root));
  expect(remove).toEqual(['etc/deep']);
  expect(copy.sort()).toEqual(['etc', 'etc/a', 'new']);
});

test('a change of the mode alone is a change', async () => {
  const before = await scan(root);
  await chmod(join(root, 'etc/a'), 0o600);
  expect(difference(before, await scan(root)).copy).toEqual(['etc/a']);
});

test('a directory made anew is copied again with what is in it; a file that became a link is replaced', async () => {
  const before = await scan(root);
  await rm(join(root, 'etc/a'));
  await symlink('deep', join(root, 'etc/a'));
  await rm(join(root, 'etc/deep'), { recursive: true });
  // the same inode number more often than not
  await mkdir(join(root, 'etc/deep'));
  await writeFile(join(root, 'etc/deep/b'), 'b');
  const { remove, copy, directories } = difference(before, await scan(root));
  expect(remove).toEqual([]);
  expect(copy).toEqual(expect.arrayContaining(['etc/a', 'etc/deep', 'etc/deep/b']));
  expect(copy.indexOf('etc/deep')).toBeLessThan(copy.indexOf('etc/deep/b'));
  expect(directories.sort()).toEqual(['etc', 'etc/deep']);
});

test('what changed its kind is removed first', async () => {
  const before = await scan(root);
  await rm(join(root, 'etc/deep'), { recursive: true });
  await writeFile(join(root, 'etc/deep'), 'now a file');
  expect(difference(before, await scan(root)).remove).toEqual(['etc/deep']);
});

test('a whiteout is a removal and is not copied', async () => {
  const before = await scan(root);
  await run(['mknod', join(root, 'etc/gone'), 'c', '0', '0']);
  const { remove, copy } = difference(before, await scan(root));
  expect(remove).toEqual(['etc/gone']);
  expect(copy).not.toContain('etc/gone');
});

test('what CRIU makes for a moment is not looked at', async () => {
  const before = await scan(root);
  await mkdir(join(root, 'tmp/cr-tmpfs.kWIKZx'), { recursive: true });
  await mkdir(join(root, 'cr-tmpfs.abc123'));
  await mkdir(join(root, 'tmp/cr-tmpfs.of-the-user'));
  expect(difference(before, await scan(root)).copy.sort()).toEqual(['tmp', 'tmp/cr-tmpfs.of-the-user']);
});

test('the directory in which it makes that is only copied when something else of it has changed', async () => {
  const change = async (work: () => Promise<unknown>): Promise<string[]> => {
    const before = await scan(root);
    await mkdir(join(root, 'tmp/cr-tmpfs.kWIKZx'));
    await rm(join(root, 'tmp/cr-tmpfs.kWIKZx'), { recursive: true });
    await work();
    return difference(before, await scan(root)).copy.sort();
  };
  await mkdir(join(root, 'tmp'));
  await writeFile(join(root, 'tmp/file'), 'a');
  // as tar leaves it at a destination
  await utimes(join(root, 'tmp'), 1, 1);
  expect(await change(async () => undefined)).toEqual([]);
  expect(await change(() => appendFile(join(root, 'tmp/file'), 'b'))).toEqual(['tmp/file']);
  expect(await change(() => writeFile(join(root, 'tmp/new'), ''))).toEqual(['tmp', 'tmp/new']);
  expect(await change(() => rm(join(root, 'tmp/new')))).toEqual(['tmp']);
  expect(await change(() => chmod(join(root, 'tmp'), 0o1777))).toEqual(['tmp']);
  // a volume's own directory of that name
  const before = await scan(root, 'plain');
  await mkdir(join(root, 'tmp/passing'));
  await rm(join(root, 'tmp/passing'), { recursive: true });
  expect(difference(before, await scan(root, 'plain')).copy).toEqual(['tmp']);
});

test('a directory that vanishes while it is looked at is left out', async () => {
  const many = join(root, 'many');
  await mkdir(many);
  let going = true;
  const churn = (async () => {
    for (let i = 0; going; i += 1) {
      await mkdir(join(many, `d${i % 50}/below`), { recursive: true });
      await rm(join(many, `d${(i + 25) % 50}`), { recursive: true, force: true });
    }
  })();
  for (let i = 0; i < 100; i += 1) await scan(root);
  going = false;
  await churn;
});
