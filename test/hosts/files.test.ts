import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { docker, h1, h2, h3, IMAGE, lab, PATIENCE_MS } from '../support/hosts.ts';
import { differences, filesOf, MANIFEST } from '../support/manifest.ts';
import { scene, WORKLOAD } from '../support/scene.ts';

const OPTIONS = [...WORKLOAD, ...MANIFEST];

test('a container that changes its files all the time has them as if it had never moved', scene(async (scene) => {
  const moving = await scene.run(h1, 'rewrite', ['python3', '/w/rewrite.py'], OPTIONS);
  await moving.says('prepared');
  await moving.moveTo(h2);
  await moving.moveTo(h3);
  await moving.docker('kill', '--signal', 'TERM');
  const [, steps] = (await moving.says(/^steps \d+$/)).split(' ');
  expect(Number(steps)).toBeGreaterThan(20);
  // what it wrote to one file, which it held open
  expect(await moving.exec('cat', '/srv/steps')).toBe(Array.from({ length: Number(steps) }, (_, number) => number).join('\n'));

  const still = await scene.run(h1, 'still', ['python3', '/w/rewrite.py', `--steps=${steps}`], OPTIONS);
  await still.says(`steps ${steps}`);
  const wanted = await filesOf(still);
  expect(differences(wanted, await filesOf(moving))).toEqual([]);
  // and this saw something at all
  expect(wanted.size).toBeGreaterThan(1_000);
  expect(JSON.parse(wanted.get('/srv/sparse')!)).toMatchObject({ sparse: true });
  expect(JSON.parse(wanted.get('/srv/owned')!)).toMatchObject({ 'same as': '/srv/made/owned-too' });
}));

test('a new file in a directory of the image leaves the others there', scene(async (scene) => {
  const server = await scene.run(h1, 'listed', ['sleep', 'infinity']);
  const inImage = (await docker(h1, 'run', '--rm', IMAGE, 'ls', '/usr/lib')).split('\n');
  await server.exec('touch', '/usr/lib/a-new-one');
  await server.moveTo(h2);
  expect((await server.exec('ls', '/usr/lib')).split('\n')).toEqual([...inImage, 'a-new-one'].sort());
}));

test('a file that comes while the destination starts the container, as the first of all, comes along', scene(async (scene) => {
  const flag = scene.name('flag');
  scene.finally(() => rm(join(lab.shared, flag), { force: true }));
  const waiting = await scene.run(h2, 'late', ['sh', '-c', `until [ -e /share/${flag} ]; do sleep 0.01; done; echo late >/late; exec sleep infinity`], ['--volume', '/share:/share']);
  const arriving = until('the destination to begin', async () => (await h1.exec(['ls', '/run/coat/restore'], { okCodes: [0, 2] })).stdout !== '', { timeout: PATIENCE_MS });
  await Promise.all([waiting.moveTo(h1), arriving.then(() => writeFile(join(lab.shared, flag), ''))]);
  expect(await until('the file', () => waiting.exec('cat', '/late'), { timeout: PATIENCE_MS })).toBe('late');
}));
