import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { labPlaces } from '../../lab/places.ts';
import { docker, expectNotMoved, h1, h2, h4, lab, migrate, PATIENCE_MS, where } from '../support/hosts.ts';
import { mayReadLimits } from '../support/machine.ts';
import { remains } from '../support/remains.ts';
import { type Container, scene, type Scene } from '../support/scene.ts';
import { smallImage } from '../support/small-image.ts';

/** Asks for a move that is refused before anything was touched, while a peer is connected. */
async function refused(scene: Scene, container: Container, to: string, wanted: { code: string | RegExp; message?: RegExp }, ref = container.name): Promise<void> {
  const peer = await scene.peer(container);
  const before = await remains();
  expectNotMoved(await migrate(container.host, ref, to), { outcome: 'refused', ...wanted });
  expect(await remains()).toEqual(before);
  await peer.unharmed();
}

test('a host nobody knows', scene(async (scene) => {
  await refused(scene, await scene.echo(h1), 'h9', { code: 'unknown-host', message: /h9/ });
}));

test('the host it is on', scene(async (scene) => {
  await refused(scene, await scene.echo(h1), 'h1', { code: 'already-there' });
}));

test('a host that is down; others still take containers, and it does when it is back', scene(async (scene) => {
  const server = await scene.echo(h1);
  scene.finally(() => start(h4));
  await lab.kill('h4');
  await refused(scene, server, 'h4', { code: 'peer-away', message: /h4/ });
  const peer = await scene.peer(server);
  await server.moveTo(h2);
  await peer.goesOn();
  await start(h4);
  await server.moveTo(h4);
  await peer.unharmed();
}));

/** Boots a host and waits for its agent. */
async function start(host: LabHost): Promise<void> {
  await lab.start(host.name);
  await until(`the agent of ${host.name}`, async () => (await host.exec(['docker', 'coat', 'version'], { okCodes: [0, 1] })).code === 0, { timeout: 2 * PATIENCE_MS, every: 100 });
  const { hosts } = JSON.parse(await docker(h1, 'coat', 'ls', '--json')) as { hosts: { name: string }[] };
  expect(hosts.map(({ name }) => name)).toContain(host.name);
}

test('a container that is not there', scene(async () => {
  expectNotMoved(await migrate(h1, 'nobody', 'h2'), { outcome: 'refused', code: 'no-container', message: /nobody/ });
}));

test('a container that is on the destination already, asked of a host that does not have it', scene(async (scene) => {
  const server = await scene.echo(h2);
  expectNotMoved(await migrate(h1, server.name, 'h2'), { outcome: 'refused', code: 'already-there' });
}));

test('a container that does not run', scene(async (scene) => {
  const server = await scene.echo(h1);
  await server.docker('stop', '--time', '0');
  expectNotMoved(await migrate(h1, server.name, 'h2'), { outcome: 'refused', code: 'not-running' });
  expect(await where(server.name)).toEqual({ h1: 'exited' });
}));

test('a container that is paused', scene(async (scene) => {
  const server = await scene.echo(h1);
  const peer = await scene.peer(server);
  await server.docker('pause');
  expectNotMoved(await migrate(h1, server.name, 'h2'), { outcome: 'refused', code: 'paused' });
  expect(await where(server.name)).toEqual({ h1: 'paused' });
  await server.docker('unpause');
  await peer.unharmed();
}));

test('a container on no coat network', scene(async (scene) => {
  const name = scene.name('plain');
  await docker(h1, 'run', '--detach', '--name', name, 'coat-lab/workloads', 'sleep', 'infinity');
  const before = await remains();
  expectNotMoved(await migrate(h1, name, 'h2'), { outcome: 'refused', code: 'no-coat-network' });
  expect(await remains()).toEqual(before);
}));

test('a container that is also on a network of its host', scene(async (scene) => {
  const server = await scene.echo(h1);
  await docker(h1, 'network', 'connect', 'bridge', server.name);
  await refused(scene, server, 'h2', { code: 'foreign-network', message: /bridge/ });
}));

test('a name that is taken at the destination', scene(async (scene) => {
  const server = await scene.echo(h1);
  await docker(h2, 'create', '--name', server.name, 'coat-lab/workloads', 'true');
  await refused(scene, server, 'h2', { code: 'name-taken', message: new RegExp(server.name) });
  expect(await where(server.name)).toEqual({ h1: 'running', h2: 'created' });
}));

test('a bind mount the destination does not have', scene(async (scene) => {
  const place = `/srv/${scene.name('data')}`;
  await mkdir(join(h1.root, place));
  scene.finally(() => rm(join(h1.root, place), { recursive: true }));
  await refused(scene, await scene.echo(h1, { docker: ['--volume', `${place}:/data`] }), 'h2', { code: 'no-mount', message: new RegExp(place) });
}));

test('an engine that does not know the runtime', scene(async (scene) => {
  const server = await scene.echo(h1);
  const settings = join(h2.root, 'etc/docker/daemon.json');
  const before = await readFile(settings, 'utf8');
  const reload = async (text: string, known: boolean): Promise<void> => {
    await writeFile(settings, text);
    await h2.exec(['sh', '-c', 'kill -HUP $(cat /var/run/docker.pid)']);
    await until('the engine to read its settings', async () => (await docker(h2, 'info', '--format', '{{json .Runtimes}}')).includes('"coat"') === known, { timeout: PATIENCE_MS });
  };
  scene.finally(() => reload(before, true));
  await reload(JSON.stringify({ ...(JSON.parse(before) as object), runtimes: { other: { path: '/usr/sbin/runc' } } }), false);
  await refused(scene, server, 'h2', { code: 'no-runtime', message: /h2/ });
}));

test('a process that uses io_uring', scene(async (scene) => {
  const server = await scene.run(h1, 'ring', ['python3', '/w/stubborn.py', 'io_uring'], ['--volume', '/share/workload:/w:ro', '--security-opt', 'seccomp=unconfined']);
  await server.says('ready');
  await refused(scene, server, 'h2', { code: 'undumpable', message: /io_uring/ });
}));

test('an image that the destination does not have and the source has lost', scene(async (scene) => {
  const image = await smallImage(scene, h1);
  const server = await scene.echo(h1, { image: image.name });
  // Docker removes no image of a running container; a disk that went bad does
  const file = join(labPlaces(lab.name).host('h1'), 'docker/image/overlay2/imagedb/content', image.id.replace(':', '/'));
  await rename(file, `${file}.lost`);
  scene.finally(() => rename(`${file}.lost`, file));
  await refused(scene, server, 'h2', { code: 'image-gone', message: /image/ });
}));

test('processes of another user, where root may not read their limits; elsewhere they move', scene(async (scene) => {
  const server = await scene.echo(h1, { docker: ['--user', '1234'] });
  if (!(await mayReadLimits(h1))) return refused(scene, server, 'h2', { code: 'no-sys-resource', message: /limits/ });
  const peer = await scene.peer(server);
  await server.moveTo(h2);
  expect(await server.exec('stat', '--format', '%u', '/proc/1')).toBe('1234');
  await peer.unharmed();
}));
