import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, afterAll, expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { docker, expectMoved, h1, h2, lab, migrate, PATIENCE_MS } from '../support/hosts.ts';
import { scene, type Scene } from '../support/scene.ts';

/** The examples, by `docker compose` of both generations: 2.26 on h1, 2.40 on h2. */
const examples = join(lab.shared, 'examples');
beforeAll(() => cp(join(import.meta.dirname, '../../examples'), examples, { recursive: true }));
afterAll(() => rm(examples, { recursive: true }));

/** What it prints; its progress goes to standard error. */
async function compose(host: LabHost, file: string, ...args: string[]): Promise<string> {
  const { stdout } = await host.exec(['docker', 'compose', '--file', `/share/examples/${file}`, ...args], { timeout: 2 * PATIENCE_MS });
  return stdout.trim();
}

/** Names and ids of a project's containers there, in the order of the names. */
const containers = (host: LabHost, file: string): Promise<string> => compose(host, file, 'ps', '--all', '--format', '{{.Name}} {{.State}}');
const ids = async (host: LabHost, file: string): Promise<string[]> => (await compose(host, file, 'ps', '--quiet')).split('\n').sort();
const running = (...names: string[]): string => names.map((name) => `${name} running`).join('\n');

const lastLine = (host: LabHost, container: string): Promise<string> => docker(host, 'logs', '--tail', '1', container);

const networkOn = async (host: LabHost, name: string): Promise<boolean> => (await host.exec(['docker', 'network', 'inspect', name], { okCodes: [0, 1] })).code === 0;

function downAtTheEnd(scene: Scene, file: string): void {
  scene.finallyEverywhere((host) => compose(host, file, 'down', '--timeout', '1'));
}

test('one host: up, up again, scale, down', scene(async (scene) => {
  const [host, other] = [h1, h2];
  const file = 'one-host.yaml';
  downAtTheEnd(scene, file);
  await compose(host, file, 'up', '--detach');
  expect(await containers(host, file)).toBe(running('corner-page-1', 'corner-visitor-1'));
  expect(await docker(host, 'network', 'inspect', '--format', '{{.Driver}} {{.IPAM.Driver}} {{(index .IPAM.Config 0).Subnet}}', 'corner_shop')).toBe('coat coat 10.42.7.0/24');
  await until('the network on the other host', () => networkOn(other, 'corner_shop'), { timeout: PATIENCE_MS });
  await until('an answer', async () => (await lastLine(host, 'corner-visitor-1')) === '200', { timeout: PATIENCE_MS });

  const before = await ids(host, file);
  await compose(host, file, 'up', '--detach');
  expect(await ids(host, file)).toEqual(before);

  await compose(host, file, 'up', '--detach', '--scale', 'page=3');
  expect(await containers(host, file)).toBe(running('corner-page-1', 'corner-page-2', 'corner-page-3', 'corner-visitor-1'));
  const addresses = async (): Promise<number> => (await docker(host, 'exec', 'corner-visitor-1', 'getent', 'ahostsv4', 'page')).split('\n').filter((line) => line.includes('STREAM')).length;
  await until('all three to have the name', async () => (await addresses()) === 3, { timeout: PATIENCE_MS });

  await compose(host, file, 'down', '--timeout', '1');
  expect(await containers(host, file)).toBe('');
  expect(await networkOn(host, 'corner_shop')).toBe(false);
  await until('nothing to be left', async () => !(await networkOn(other, 'corner_shop')) && !(await docker(other, 'coat', 'ls', '--json')).includes('10.42.7.0'), { timeout: PATIENCE_MS });
}));

test('several hosts: services find each other by name, and a moved one belongs to the project where it is', scene(async (scene) => {
  const file = 'shop.yaml';
  downAtTheEnd(scene, file);
  const visits = async (): Promise<number> => Number(await lastLine(h2, 'shop-visitor-1'));
  const goesOn = async (): Promise<number> => {
    const before = await visits();
    return until('the count to go on', async () => {
      const now = await visits();
      return now > before + 2 && now;
    }, { timeout: PATIENCE_MS });
  };
  await compose(h1, file, 'up', '--detach', 'cart');
  await compose(h2, file, 'up', '--detach', 'visitor');
  expect(await containers(h1, file)).toBe(running('shop-cart-1'));
  expect(await containers(h2, file)).toBe(running('shop-visitor-1'));
  await until('a visit', async () => (await visits()) > 0, { timeout: PATIENCE_MS });

  const before = await goesOn();
  expectMoved(await migrate(h1, 'shop-cart-1', 'h2'));
  expect(await containers(h1, file)).toBe('');
  expect(await containers(h2, file)).toBe(running('shop-cart-1', 'shop-visitor-1'));
  // its memory is what it was
  expect(await goesOn()).toBeGreaterThan(before);

  // and compose has nothing to do about it
  const moved = await ids(h2, file);
  await compose(h2, file, 'up', '--detach', 'cart', 'visitor');
  expect(await ids(h2, file)).toEqual(moved);

  for (const host of [h1, h2]) {
    await compose(host, file, 'down', '--timeout', '1');
    expect(await containers(host, file)).toBe('');
    expect(await networkOn(host, 'shop')).toBe(true);
  }
}));
