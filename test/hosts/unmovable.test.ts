import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { docker, expectNotMoved, h1, h2, IMAGE, lab, migrate, PATIENCE_MS, where } from '../support/hosts.ts';
import { expectRemains, remains } from '../support/remains.ts';
import { type Container, scene, type Scene, WORKLOAD } from '../support/scene.ts';
import { volume } from '../support/volumes.ts';

/** Asks for a move that is refused before anything was touched. */
async function refused(server: Container, wanted: { code: string; message?: RegExp }, ...options: string[]): Promise<void> {
  const before = await remains();
  expectNotMoved(await migrate(server.host, server.name, 'h2', ...options), { outcome: 'refused', ...wanted });
  expect(await remains()).toEqual(before);
  expect(await where(server.name)).toMatchObject({ [server.host.name]: 'running' });
}

async function stubborn(scene: Scene, what: string[], options: string[] = []): Promise<Container> {
  const server = await scene.run(h1, 'stubborn', ['python3', '/w/stubborn.py', ...what], [...WORKLOAD, ...options]);
  await server.says('ready');
  return server;
}

test('a unix socket whose other end is outside', scene(async (scene) => {
  const place = scene.name('sockets');
  await mkdir(join(lab.shared, place));
  scene.finally(() => rm(join(lab.shared, place), { recursive: true, force: true }));
  const mount = ['--volume', `/share/${place}:/sockets`];
  const outside = await scene.run(h1, 'outside', ['python3', '/w/stubborn.py', 'listen', '/sockets/one'], [...WORKLOAD, ...mount]);
  await until('the outer end', () => outside.exec('test', '-S', '/sockets/one').then(() => true), { timeout: PATIENCE_MS });
  const server = await stubborn(scene, ['unix', '/sockets/one'], mount);
  await outside.says('accepted');
  await refused(server, { code: 'undumpable', message: /unix socket .*outside/ });
}));

test('sockets and files that CRIU has no image for', scene(async (scene) => {
  await refused(await stubborn(scene, ['mptcp']), { code: 'undumpable', message: /MPTCP/ });
  await refused(await stubborn(scene, ['deleted']), { code: 'deleted-link', message: /\/srv\/deleted/ });
}));

test('a processor that lacks something, unless it is said that this does not matter', scene(async (scene) => {
  const server = await scene.echo(h1);
  await h2.exec(['sh', '-c', 'sed "s/ sse4_2 / /" /proc/cpuinfo > /run/cpuinfo && mount --bind /run/cpuinfo /proc/cpuinfo']);
  scene.finally(() => h2.exec(['sh', '-c', 'umount /proc/cpuinfo; rm /run/cpuinfo']));
  await refused(server, { code: 'cpu', message: /sse4_2/ });
  const peer = await scene.peer(server);
  expect(await migrate(h1, server.name, 'h2', '--ignore-cpu')).toMatchObject({ code: 0 });
  server.host = h2;
  await peer.unharmed();
}));

test('volumes that must not be carried, that are another\'s or that are there; a failure takes back those that were made', scene(async (scene) => {
  const data = await volume(scene, h1, 'data');
  const place = `/srv/${scene.name('held')}`;
  for (const host of [h1, h2]) {
    await mkdir(join(host.root, place));
    scene.finally(() => rm(join(host.root, place), { recursive: true }));
  }
  const command = ['sh', '-c', 'echo ours > /data/file; exec 9>>/held/file; exec python3 /w/echo.py'];
  const server = await scene.run(h1, 'volumes', command, [...WORKLOAD, '--volume', `${data}:/data`, '--volume', `${place}:/held`]);
  await server.says('ready');
  const peer = await scene.peer(server);
  await refused(server, { code: 'volume', message: new RegExp(data) }, '--volumes', 'refuse');
  await refused(server, { code: 'no-volume', message: new RegExp(data) }, '--volumes', 'shared');
  const also = scene.name('also');
  await docker(h1, 'create', '--name', also, '--volume', `${data}:/data`, IMAGE, 'true');
  await refused(server, { code: 'volume-in-use', message: new RegExp(also) });
  await docker(h1, 'rm', also);
  await docker(h2, 'run', '--rm', '--network', 'none', '--volume', `${data}:/data`, IMAGE, 'sh', '-c', 'echo theirs > /data/file');
  await refused(server, { code: 'volume-taken', message: new RegExp(data) });
  await docker(h2, 'volume', 'rm', data);

  // CRIU finds a file that is held open not there
  const before = await remains();
  expectNotMoved(await migrate(h1, server.name, 'h2'), { outcome: 'rolled-back', code: 'restore-failed', message: /held\/file/ });
  await expectRemains(before);
  expect(await server.exec('cat', '/data/file')).toBe('ours');
  // one that was there, and empty, is so again
  await docker(h2, 'volume', 'create', data);
  expectNotMoved(await migrate(h1, server.name, 'h2'), { outcome: 'rolled-back', code: 'restore-failed' });
  expect(await docker(h2, 'run', '--rm', '--network', 'none', '--volume', `${data}:/data`, IMAGE, 'ls', '/data')).toBe('');

  // what is shared is neither copied nor removed; here it is not the same, which shows
  await docker(h2, 'run', '--rm', '--network', 'none', '--volume', `${data}:/data`, '--volume', `${place}:/held`, IMAGE, 'sh', '-c', 'echo theirs > /data/file; touch /held/file');
  expect(await migrate(h1, server.name, 'h2', '--volumes', 'shared')).toMatchObject({ code: 0 });
  server.host = h2;
  expect(await server.exec('cat', '/data/file')).toBe('theirs');
  expect(await docker(h1, 'volume', 'ls', '--quiet', '--filter', `name=${data}`)).toBe(data);
  await peer.unharmed();
}));
