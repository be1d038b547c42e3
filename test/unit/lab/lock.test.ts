import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FileLock } from '../../../lab/lock.ts';

let directory: string;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'coat-lock-'));
  path = join(directory, 'deep', 'lock');
});
afterEach(() => rm(directory, { recursive: true }));

test('one has it alone, the next waits and is told for whom', async () => {
  const events: string[] = [];
  const first = await FileLock.take(path, 'exclusive', { what: 'the first' });
  const second = FileLock.take(path, 'exclusive', { what: 'the second', waiting: (holder) => events.push(holder) }).then((lock) => {
    events.push('second has it');
    return lock;
  });
  await expect.poll(() => events).toEqual([`the first (process ${process.pid})`]);
  await first.release();
  await (await second).release();
  expect(events).toHaveLength(2);
});

test('many share it, and none of them has it alone', async () => {
  await using _one = await FileLock.take(path, 'shared');
  await using _other = (await FileLock.tryTake(path, 'shared'))!;
  expect(await FileLock.tryTake(path, 'exclusive')).toBeUndefined();
});

test('it ends with its holder, however that ends', async () => {
  const script = `import { FileLock } from ${JSON.stringify(join(import.meta.dirname, '../../../lab/lock.ts'))};
    await FileLock.take(${JSON.stringify(path)}, 'exclusive'); console.log('taken'); setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  expect(await FileLock.tryTake(path, 'exclusive')).toBeUndefined();
  holder.kill('SIGKILL');
  await using lock = await FileLock.take(path, 'exclusive');
  expect(lock).toBeDefined();
});

test('a file that was removed meanwhile is not what anybody gets', async () => {
  const first = await FileLock.take(path, 'exclusive');
  let got = 0;
  const waiting = [1, 2].map(() => FileLock.take(path, 'exclusive').then((lock) => {
    got += 1;
    return lock;
  }));
  await sleep(100);
  await first.remove();
  const second = await Promise.race(waiting);
  await sleep(100);
  expect(got).toBe(1);
  await second.remove();
  for (const lock of await Promise.all(waiting)) await lock.remove();
  expect(await readdir(join(path, '..'))).toEqual([]);
});

test('waiting can be called off', async () => {
  await using _lock = await FileLock.take(path, 'exclusive');
  const stop = new AbortController();
  const waiting = FileLock.take(path, 'exclusive', { signal: stop.signal });
  setTimeout(() => stop.abort(), 50);
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
});

test('who does not want to wait is told who has it, and has it when that one is dead', async () => {
  const refusal = (holder: string): Error => new Error(`taken: ${holder}`);
  const holder = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', `
    import { FileLock } from ${JSON.stringify(join(import.meta.dirname, '../../../lab/lock.ts'))};
    await FileLock.takeNow(${JSON.stringify(path)}, 'the first', () => new Error('taken'));
    console.log('has it');
    setInterval(() => undefined, 1000);
  `], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  await expect(FileLock.takeNow(path, 'the second', refusal)).rejects.toThrow(`taken: the first (process ${holder.pid})`);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  const second = await FileLock.takeNow(path, 'the second', refusal);
  await expect(FileLock.takeNow(path, 'the third', refusal)).rejects.toThrow(`taken: the second (process ${process.pid})`);
  await second.remove();
});
