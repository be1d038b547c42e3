import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { docker, fresh, h1, h2, IMAGE, PATIENCE_MS } from '../support/hosts.ts';
import { Container, type Scene, scene } from '../support/scene.ts';

/** What stays until it is removed. */
const IDLE = ['sleep', '1d'];
/** The programs of test/fixtures, at /f, with a resolver that has more patience than the lab's 1 s: two busy cores may stand still that long. */
const FIXTURES = ['--volume', '/share/fixtures:/f:ro', '--env', 'RES_OPTIONS=timeout:5 attempts:2'];

/** The addresses a container finds under a name, through its libc and Docker's resolver address; in order, each once. */
async function find(container: Container, name: string): Promise<string[]> {
  const { stdout } = await container.host.exec(['docker', 'exec', container.name, 'getent', 'ahostsv4', name], { okCodes: [0, 2], timeout: PATIENCE_MS });
  return [...new Set(stdout.split('\n').filter(Boolean).map((line) => line.split(/\s/)[0]!))].sort();
}

const finds = (container: Container, name: string, ...wanted: string[]): Promise<unknown> =>
  until(`${container.name} to find ${name} at "${wanted.join()}"`, async () => (await find(container, name)).join() === wanted.sort().join(), { timeout: PATIENCE_MS });

/** A network of its own, removed at the end. */
async function network(scene: Scene, subnet: string, ...options: string[]): Promise<string> {
  const name = fresh('yard');
  await docker(h1, 'network', 'create', '-d', 'coat', '--ipam-driver', 'coat', '--subnet', subnet, ...options, name);
  const there = async (host: LabHost): Promise<boolean> => (await host.exec(['docker', 'network', 'inspect', name], { okCodes: [0, 1] })).code === 0;
  for (const host of [h1, h2]) await until(`${name} on ${host.name}`, () => there(host), { timeout: PATIENCE_MS });
  scene.finallyEverywhere(async (host) => {
    if (host === h1) await docker(h1, 'network', 'rm', name);
    await until(`${name} to be gone`, async () => !(await there(host)), { timeout: PATIENCE_MS });
  });
  return name;
}

/** A container on one other network than the usual one. */
async function runOn(scene: Scene, host: LabHost, network: string): Promise<Container> {
  const name = scene.name(network);
  await docker(host, 'run', '--detach', '--name', name, '--network', network, IMAGE, ...IDLE);
  return new Container(host, name, '');
}

/** An upstream server on h1, which the containers of both hosts ask. @returns says the names it was asked for */
async function upstream(scene: Scene): Promise<() => string[]> {
  const server = h1.spawn(['python3', '/share/fixtures/upstream.py', h1.address], { stdio: ['ignore', 'pipe', 'inherit'] });
  scene.finally(() => server.kill());
  let said = '';
  server.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text));
  await until('the upstream server', () => said.startsWith('ready'), { timeout: PATIENCE_MS });
  for (const host of [h1, h2]) {
    const before = (await host.exec(['cat', '/etc/resolv.conf'])).stdout;
    scene.finally(() => host.exec(['tee', '/etc/resolv.conf'], { input: before }));
    // Docker gives it to containers that are started from now on
    await host.exec(['tee', '/etc/resolv.conf'], { input: `nameserver ${h1.address}\n` });
  }
  return () => said.split('\n');
}

test('containers find each other by name, alias and service on all hosts, until they are gone', scene(async (scene) => {
  const [alias, service] = [fresh('alias'), fresh('service')];
  const one = await scene.run(h1, 'one', IDLE, ['--network-alias', alias]);
  const two = await scene.run(h2, 'two', IDLE, ['--label', `com.docker.compose.service=${service}`]);
  await finds(two, one.name, one.ip);
  await finds(two, `${one.name.toUpperCase()}.shop`, one.ip);
  await finds(two, alias, one.ip);
  await finds(one, two.name, two.ip);
  await finds(one, service, two.ip);
  expect(await one.exec('getent', 'hosts', two.ip)).toMatch(new RegExp(`${two.name}\\.shop$`));

  const other = await scene.run(h2, 'other', IDLE, ['--network-alias', alias]);
  for (const asker of [one, two]) await finds(asker, alias, one.ip, other.ip);
  const renamed = scene.name('renamed');
  await docker(h2, 'rename', other.name, renamed);
  await finds(one, renamed, other.ip);
  await finds(one, other.name);

  await one.docker('rm', '--force');
  await finds(two, one.name);
  await finds(two, alias, other.ip);
}));

test('no name is lost while a container moves, neither its own nor those it asks for', scene(async (scene) => {
  const still = await scene.run(h1, 'still', IDLE);
  const moving = await scene.run(h1, 'moving', ['python3', '/f/asking.py', still.name], FIXTURES);
  const asker = await scene.run(h2, 'asker', ['python3', '/f/asking.py', moving.name], FIXTURES);
  // their first question may have been ahead of the agent, and then waits for an upstream server that the lab does not have
  await asker.says('found');
  await moving.says('found');
  await moving.moveTo(h2);
  expect(await find(moving, still.name)).toEqual([still.ip]);
  expect(await find(still, moving.name)).toEqual([moving.ip]);
  expect(await find(asker, moving.name)).toEqual([moving.ip]);
  await moving.moveTo(h1);
  expect(await find(asker, moving.name)).toEqual([moving.ip]);

  for (const [container, place] of [[asker, moving.ip], [moving, still.ip]] as const) {
    await container.docker('kill', '--signal', 'TERM');
    await container.docker('wait');
    const counts = JSON.parse((await container.logs()).split('\n').at(-1)!) as Record<string, number>;
    expect(counts[place]).toBeGreaterThan(100);
    expect(counts).toEqual({ [place]: counts[place] });
  }
}));

test('a name is found on the networks that both are on, and nowhere else', scene(async (scene) => {
  const yard = await network(scene, '10.44.0.0/24');
  const one = await scene.run(h1, 'one', IDLE);
  const stranger = await runOn(scene, h2, yard);
  const two = await scene.run(h2, 'two', IDLE);
  await finds(two, one.name, one.ip);
  expect(await find(stranger, one.name)).toEqual([]);
  expect(await find(one, stranger.name)).toEqual([]);

  await docker(h2, 'network', 'connect', 'shop', stranger.name);
  await finds(stranger, one.name, one.ip);
  await docker(h2, 'network', 'disconnect', 'shop', stranger.name);
  await finds(stranger, one.name);
}));

test('names of the world are found as before, and an internal network keeps its own', scene(async (scene) => {
  const asked = await upstream(scene);
  const vault = await network(scene, '10.45.0.0/24', '--internal');
  for (const host of [h1, h2]) {
    // by the host's own servers, and by one that the container itself reaches
    for (const dns of [[], ['--dns', h1.address]]) {
      const container = await scene.run(host, 'open', IDLE, dns);
      await finds(container, 'example.test', '192.0.2.80');
      expect(await find(container, 'nowhere.test')).toEqual([]);
      expect(await container.exec('sh', '-c', 'RES_OPTIONS=use-vc getent ahostsv4 example.test')).toContain('192.0.2.80');
    }
  }
  const [one, two] = [await runOn(scene, h1, vault), await runOn(scene, h2, vault)];
  await until('a name inside', async () => (await find(one, two.name)).length === 1, { timeout: PATIENCE_MS });
  await until('a name inside', async () => (await find(two, one.name)).length === 1, { timeout: PATIENCE_MS });
  expect(await find(two, 'secret.test')).toEqual([]);
  expect(asked()).toContain('nowhere.test');
  expect(asked()).not.toContain('secret.test');
}));

test('an agent that stands still takes only its own names with it, and not for ever', scene(async (scene) => {
  await upstream(scene);
  const one = await scene.run(h1, 'one', IDLE);
  const two = await scene.run(h2, 'two', IDLE);
  await finds(two, one.name, one.ip);
  const pid = (await h2.exec(['pgrep', '-f', '^/usr/bin/node /usr/lib/coat/agent.cjs'])).stdout.trim();
  await h2.exec(['kill', '-STOP', pid]);
  try {
    await finds(two, 'example.test', '192.0.2.80');
    await finds(two, one.name);
  } finally {
    await h2.exec(['kill', '-CONT', pid]);
  }
  await finds(two, one.name, one.ip);
  // Docker starts it again
  await h2.exec(['kill', '-KILL', pid]);
  await until('another agent', async () => ![pid, ''].includes((await h2.exec(['pgrep', '-f', '^/usr/bin/node /usr/lib/coat/agent.cjs'], { okCodes: [0, 1] })).stdout.trim()), { timeout: PATIENCE_MS });
  await finds(two, one.name, one.ip);
  await finds(two, 'example.test', '192.0.2.80');
}));
