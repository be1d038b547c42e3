import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Build } from '../../../lab/images/build.ts';
import type { cached as Cached } from '../../../lab/images/cached.ts';

const [KEY, OLD, USED] = ['0123456789ab', 'ba9876543210', 'ffffffffffff'];
const build: Build = { tell: () => undefined, run: () => Promise.reject(new Error('nothing is run here')) };

let directory: string;
let cache: string;
/** As another process has it: with nothing taken yet. */
let fresh: () => Promise<{ cached: typeof Cached }>;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'coat-cache-'));
  cache = join(directory, 'cache');
  vi.stubEnv('COAT_LAB_CACHE', cache);
  vi.stubEnv('COAT_LAB_STATE', join(directory, 'state'));
  fresh = () => {
    vi.resetModules();
    return import('../../../lab/images/cached.ts');
  };
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(directory, { recursive: true });
});

test('is made once, also for several who want it at once', async () => {
  const processes = [await fresh(), await fresh()];
  let made = 0;
  const make = async (target: string): Promise<void> => {
    made += 1;
    await sleep(50);
    await writeFile(join(target, 'content'), 'whole');
  };
  const places = await Promise.all([...processes, ...processes].map(({ cached }) => cached('thing', KEY, build, make)));
  expect(new Set(places)).toEqual(new Set([join(cache, `thing-${KEY}`)]));
  expect(made).toBe(1);
  expect(await readFile(join(places[0]!, 'content'), 'utf8')).toBe('whole');
});

test('a draft whose maker died is thrown away, and so is one that failed', async () => {
  const { cached } = await fresh();
  const draft = join(cache, `thing-${KEY}.draft`);
  await mkdir(draft, { recursive: true });
  await writeFile(join(draft, 'part'), '');
  await expect(cached('thing', KEY, build, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect((await readdir(cache)).filter((name) => !/\.(lock|used)$/.test(name))).toEqual([]);
  const place = await cached('thing', KEY, build, async (target) => expect(await readdir(target)).toEqual([]));
  expect(await readdir(place)).toEqual(['complete']);
});

test('what is not whole or was deleted is made again', async () => {
  const { cached } = await fresh();
  const make = (target: string): Promise<void> => writeFile(join(target, 'content'), '');
  await mkdir(join(cache, `thing-${KEY}`), { recursive: true });
  const place = await cached('thing', KEY, build, make);
  expect((await readdir(place)).sort()).toEqual(['complete', 'content']);
  await rm(cache, { recursive: true });
  expect((await readdir(await cached('thing', KEY, build, make))).sort()).toEqual(['complete', 'content']);
});

test('older content goes when the new is there, unless a lab stands on it or somebody has it', async () => {
  const other = await fresh();
  const kept = await other.cached('thing', 'aaaaaaaaaaaa', build, async () => undefined);
  for (const key of [OLD, USED]) await mkdir(join(cache, `thing-${key}`, 'rootfs'), { recursive: true });
  await mkdir(join(cache, `thing-${OLD}.draft`));
  const lab = { name: 'x', subnet: 1, cgroup: 1, hosts: [], complete: true, roots: { 26: join(cache, `thing-${USED}`, 'rootfs') } };
  await mkdir(join(directory, 'state', 'x'), { recursive: true });
  await writeFile(join(directory, 'state', 'x', 'lab.json'), JSON.stringify(lab));

  const { cached } = await fresh();
  const place = await cached('thing', KEY, build, async () => undefined);
  expect((await readdir(cache)).filter((name) => !/\.(lock|used)$/.test(name)).map((name) => join(cache, name)).sort()).toEqual([place, kept, join(cache, `thing-${USED}`)].sort());
});
