import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../driver/host/run.ts';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { docker, expectNotMoved, fresh, h1, h2, IMAGE, lab, migrate, PATIENCE_MS } from '../support/hosts.ts';
import { scene } from '../support/scene.ts';

/**
 * Docker 24 speaks API 1.43, and no Docker 24 is to be had here. So the real engines are spoken to in 1.43, which they
 * answer as it was.
 */
async function speak(host: LabHost, api: string): Promise<void> {
  const plugin = await docker(host, 'plugin', 'ls', '--format', '{{.Name}}');
  await docker(host, 'plugin', 'disable', '--force', plugin);
  await docker(host, 'plugin', 'set', plugin, `COAT_DOCKER_API=${api}`);
  await docker(host, 'plugin', 'enable', plugin);
  await until(`the agent of ${host.name}`, async () => (await host.exec(['docker', 'coat', 'version'], { okCodes: [0, 1] })).code === 0, { timeout: PATIENCE_MS });
}

beforeAll(() => Promise.all([h1, h2].map((host) => speak(host, '1.43'))));
afterAll(() => Promise.all([h1, h2].map((host) => speak(host, ''))));

test('a container moves between engines that are spoken to as to Docker 24, with its connections, address and MAC', scene(async (scene) => {
  const server = await scene.echo(h1);
  const peer = await scene.peer(server);
  const settings = (): Promise<string> => server.docker('inspect', '--format', '{{with .NetworkSettings.Networks.shop}}{{.IPAddress}} {{.MacAddress}}{{end}}');
  const before = await settings();
  await server.moveTo(h2);
  expect(await settings()).toEqual(before);
  await peer.goesOn();
  await server.moveTo(h1);
  expect(await settings()).toEqual(before);
  await peer.unharmed();
  // its engine keeps them for the next start
  await server.docker('restart', '-t', '1');
  expect(await settings()).toEqual(before);
}));

test('a network is repeated on them, and of one name there is one', async () => {
  const name = fresh('older');
  await docker(h1, 'network', 'create', '-d', 'coat', '--ipam-driver', 'coat', name);
  const ids = async (host: LabHost): Promise<string[]> => (await docker(host, 'network', 'ls', '--filter', `name=^${name}$`, '--quiet')).split('\n').filter(Boolean);
  for (const host of lab.hosts) await until(`${name} on ${host.name}`, async () => (await ids(host)).length === 1, { timeout: PATIENCE_MS });
  await docker(h2, 'network', 'rm', name);
  for (const host of lab.hosts) await until(`${name} to be gone from ${host.name}`, async () => (await ids(host)).length === 0, { timeout: PATIENCE_MS });
});

test('a container on two networks is refused by such a host before anything is touched', async () => {
  const [network, container] = [fresh('second'), fresh('two')];
  await docker(h1, 'network', 'create', '-d', 'coat', '--ipam-driver', 'coat', network);
  await until(`${network} on h2`, async () => (await run(h2.command(['docker', 'network', 'inspect', network]), { okCodes: [0, 1] })).code === 0, { timeout: PATIENCE_MS });
  await docker(h1, 'run', '--detach', '--name', container, '--network', 'shop', IMAGE, 'sleep', 'infinity');
  await docker(h1, 'network', 'connect', network, container);
  expectNotMoved(await migrate(h1, container, 'h2'), { outcome: 'refused', code: 'one-network', message: /older than Docker 25/ });
  await docker(h1, 'rm', '--force', container);
  await docker(h1, 'network', 'rm', network);
});
