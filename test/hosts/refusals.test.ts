import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { labPlaces } from '../../lab/places.ts';
import { docker, expectNotMoved, h1, h2, h4, lab, migrate, PATIENCE_MS, where } from '../support/hosts.ts';
import { mayReadLimits } from '../support/machine.ts';
import { expectRemains, remains } from '../support/remains.ts';
import { type Container, type Peer, scene, Scene } from '../support/scene.ts';
import { smallImage } from '../support/small-image.ts';

/** Asks for a move that is refused before anything was touched, while a peer is connected. */
async function refused(peer: Peer, container: Container, to: string, wanted: { code: string | RegExp; message?: RegExp }, asked = container.host): Promise<void> {
  const before = await remains();
  expectNotMoved(await migrate(asked, container.name, to), { outcome: 'refused', ...wanted });
  expect(await remains()).toEqual(before);
  await peer.goesOn();
}

/** The same of a container of its own. */
async function refusedOnce(scene: Scene, container: Container, to: string, wanted: { code: string | RegExp; message?: RegExp }): Promise<void> {
  const peer = await scene.peer(container);
  await refused(peer, container, to, wanted);
  await peer.unharmed();
}

describe('one container, with a connection that goes on all the time, does not move', () => {
  const stage = new Scene();
  let before: Awaited<ReturnType<typeof remains>>;
  let server: Container;
  let peer: Peer;

  beforeAll(async () => {
    before = await remains();
    server = await stage.echo(h1);
    peer = await stage.peer(server);
  });

  afterAll(async () => {
    await peer.unharmed().finally(() => stage.end());
    await expectRemains(before);
  });

  test('to a host nobody knows', () => refused(peer, server, 'h9', { code: 'unknown-host', message: /h9/ }));

  test('to the host it is on, whoever is asked', async () => {
    await refused(peer, server, 'h1', { code: 'already-there' });
    await refused(peer, server, 'h1', { code: 'already-there' }, h2);
  });

  test('while it is also on a network of its host', async () => {
    await docker(h1, 'network', 'connect', 'bridge', server.name);
    await refused(peer, server, 'h2', { code: 'foreign-network', message: /bridge/ });
    await docker(h1, 'network', 'disconnect', 'bridge', server.name);
  });

  test('to where its name is taken', async () => {
    await docker(h2, 'create', '--name', server.name, 'coat-lab/workloads', 'true');
    await refused(peer, server, 'h2', { code: 'name-taken', message: new RegExp(server.name) });
    expect(await where(server.name)).toEqual({ h1: 'running', h2: 'created' });
    await docker(h2, 'rm', server.name);
  });

  test('to an engine that does not know the runtime', async () => {
    const settings = join(h2.root, 'etc/docker/daemon.json');
    const known = await readFile(settings, 'utf8');
    const reload = async (text: string, knows: boolean): Promise<void> => {
      await writeFile(settings, text);
      await h2.exec(['sh', '-c', 'kill -HUP $(cat /var/run/docker.pid)']);
      await until('the engine to read its settings', async () => (await docker(h2, 'info', '--format', '{{json .Runtimes}}')).includes('"coat"') === knows, { timeout: PATIENCE_MS });
    };
    await reload(JSON.stringify({ ...(JSON.parse(known) as object), runtimes: { other: { path: '/usr/sbin/runc' } } }), false);
    try {
      await refused(peer, server, 'h2', { code: 'no-runtime', message: /h2/ });
    } finally {
      await reload(known, true);
    }
  });

  test('while it is paused', async () => {
    await server.docker('pause');
    expectNotMoved(await migrate(h1, server.name, 'h2'), { outcome: 'refused', code: 'paused' });
    expect(await where(server.name)).toEqual({ h1: 'paused' });
    await server.docker('unpause');
    await peer.goesOn();
  });
});

test('a host that is down; others still take containers, and it does when it is back', scene(async (scene) => {
  const server = await scene.echo(h1);
  scene.finally(() => start(h4));
  await lab.kill('h4');
  await refusedOnce(scene, server, 'h4', { code: 'peer-away', message: /h4/ });
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

test('a container that does not run', scene(async (scene) => {
  const server = await scene.echo(h1);
  await server.docker('stop', '--time', '0');
  expectNotMoved(await migrate(h1, server.name, 'h2'), { outcome: 'refused', code: 'not-running' });
  expect(await where(server.name)).toEqual({ h1: 'exited' });
}));

test('a container on no coat network', scene(async (scene) => {
  const name = scene.name('plain');
  await docker(h1, 'run', '--detach', '--name', name, 'coat-lab/workloads', 'sleep', 'infinity');
  const before = await remains();
  expectNotMoved(await migrate(h1, name, 'h2'), { outcome: 'refused', code: 'no-coat-network' });
  expect(await remains()).toEqual(before);
}));

test('a bind mount the destination does not have', scene(async (scene) => {
  const place = `/srv/${scene.name('data')}`;
  await mkdir(join(h1.root, place));
  scene.finally(() => rm(join(h1.root, place), { recursive: true }));
  await refusedOnce(scene, await scene.echo(h1, { docker: ['--volume', `${place}:/data`] }), 'h2', { code: 'no-mount', message: new RegExp(place) });
}));

test('a process that uses io_uring', scene(async (scene) => {
  const server = await scene.run(h1, 'ring', ['python3', '/w/stubborn.py', 'io_uring'], ['--volume', '/share/workload:/w:ro', '--security-opt', 'seccomp=unconfined']);
  await server.says('ready');
  await refusedOnce(scene, server, 'h2', { code: 'undumpable', message: /io_uring/ });
}));

test('an image that the destination does not have and the source has lost', scene(async (scene) => {
  const image = await smallImage(scene, h1);
  const server = await scene.echo(h1, { image: image.name });
  // Docker removes no image of a running container; a disk that went bad does
  const file = join(labPlaces(lab.name).host('h1'), 'docker/image/overlay2/imagedb/content', image.id.replace(':', '/'));
  await rename(file, `${file}.lost`);
  scene.finally(() => rename(`${file}.lost`, file));
  await refusedOnce(scene, server, 'h2', { code: 'image-gone', message: /image/ });
}));

test('processes of another user, where root may not read their limits; elsewhere they move', scene(async (scene) => {
  const server = await scene.echo(h1, { docker: ['--user', '1234'] });
  if (!(await mayReadLimits(h1))) return refusedOnce(scene, server, 'h2', { code: 'no-sys-resource', message: /limits/ });
  const peer = await scene.peer(server);
  await server.moveTo(h2);
  expect(await server.exec('stat', '--format', '%u', '/proc/1')).toBe('1234');
  await peer.unharmed();
}));
