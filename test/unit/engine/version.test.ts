import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { connectEngine } from '../../../plugin/engine/connection.ts';
import { createContainers } from '../../../plugin/engine/containers.ts';
import { inVersion, newest, older } from '../../../plugin/engine/version.ts';

let directory: string;
let socket: string;
let server: Server | undefined;
let asked: { path: string; body: string }[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'coat-api-'));
  socket = join(directory, 'docker.sock');
  asked = [];
});
afterEach(async () => {
  await stop();
  await rm(directory, { recursive: true });
});

/** An engine that knows no newer API than this. */
async function engine(api: string): Promise<void> {
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk))).on('end', () => {
      asked.push({ path: request.url!, body });
      response.writeHead(/create/.test(request.url!) ? 201 : 200, { 'api-version': api, 'content-type': 'application/json' }).end('{"Id":"c1"}');
    });
  });
  await new Promise<void>((resolve) => server!.listen(socket, resolve));
}
async function stop(): Promise<void> {
  server?.closeAllConnections();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  server = undefined;
}

const body = { Image: 'i', HostConfig: { NetworkMode: 'shop' }, NetworkingConfig: { EndpointsConfig: { shop: { IPAMConfig: { IPv4Address: '10.42.0.5' }, MacAddress: '02:42:0a:2a:00:05' } } } };

it.each([['1.43', '/v1.43/'], ['1.44', '/v1.44/'], ['1.51', '/v1.44/']])('an engine that knows API %s is asked under %s', async (api, prefix) => {
  await engine(api);
  await connectEngine(socket).info();
  expect(asked.map(({ path }) => path)).toEqual(['/_ping', `${prefix}info`]);
});

it('to one that has been exchanged its own version is spoken', async () => {
  const docker = connectEngine(socket);
  await expect(docker.info()).rejects.toMatchObject({ code: 'ENOENT' });
  await engine('1.44');
  await docker.info();
  await stop();
  await expect(docker.info()).rejects.toThrow();
  await engine('1.43');
  await docker.info();
  expect(asked.at(-1)?.path).toBe('/v1.43/info');
});

it('a container is created in the words of the engine', async () => {
  await engine('1.43');
  await createContainers(() => connectEngine(socket)).create('one', body);
  const { path, body: sent } = asked.at(-1)!;
  expect(path).toBe('/v1.43/containers/create?name=one');
  expect(JSON.parse(sent)).toEqual({ ...body, MacAddress: '02:42:0a:2a:00:05', NetworkingConfig: { EndpointsConfig: { shop: { IPAMConfig: { IPv4Address: '10.42.0.5' } } } } });
});

it('on two networks only by an engine that can', () => {
  const two = { ...body, NetworkingConfig: { EndpointsConfig: { ...body.NetworkingConfig.EndpointsConfig, other: {} } } };
  expect(inVersion('1.44', two)).toBe(two);
  expect(() => inVersion('1.43', two)).toThrow(/one network only/);
});

it('the older version is chosen, and the setting makes it no newer', () => {
  expect([older('1.44', '1.43'), older('1.44', '1.51'), older('1.43', '1.51'), older('1.44', undefined)]).toEqual(['1.43', '1.44', '1.43', '1.44']);
  expect([newest({}), newest({ COAT_DOCKER_API: '1.43' }), newest({ COAT_DOCKER_API: '1.99' })]).toEqual(['1.44', '1.43', '1.44']);
});
