import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { request, type IncomingMessage, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CoatError } from '../../../driver/host/errors.ts';
import { silent } from '../../../driver/host/log.ts';
import { operation } from '../../../driver/host/operation.ts';
import type { Migration, MigrationEvent, NumberedEvent } from '../../../plugin/agent/api.ts';
import { localApp, type LocalDoors } from '../../../plugin/agent/local/app.ts';
import { listing, networkDetails } from '../../../plugin/agent/local/endpoints.ts';
import { PendingHandler } from '../../../plugin/agent/pending.ts';
import { refusing } from '../../../plugin/agent/refusal.ts';
import { closeNow, groupId, serveUnix } from '../../../plugin/agent/sockets.ts';

let directory: string;
let server: Server | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'coat-local-'));
});
afterEach(async () => {
  if (server) await closeNow(server);
  server = undefined;
  await rm(directory, { recursive: true, force: true });
});

const socketPath = (): string => join(directory, 'agent.sock');

function ask(method: string, path: string, body?: string, { signal, headers = {} }: { signal?: AbortSignal; headers?: Record<string, string> } = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: socketPath(), method, path, headers, ...(signal ? { signal } : {}) }, resolve);
    asked.on('error', reject);
    asked.end(body);
  });
}

async function answer(method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<{ status: number | undefined; text: string }> {
  const response = await ask(method, path, body, { headers });
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode, text };
}

const started: MigrationEvent = { type: 'started', id: 'm1', container: 'c', from: 'h1', to: 'h2' };
const migration: Migration = { id: 'm1', container: 'web', from: 'h1', to: 'h2', asked: 'h1', started: 1, phase: 'planned' };

async function serve(doors: Partial<Omit<LocalDoors, 'migrations'>> & { migrations?: Partial<LocalDoors['migrations']> } = {}): Promise<void> {
  const { migrations: _moves, ...rest } = doors;
  const unused = (): never => {
    throw new Error('not expected');
  };
  const migrations = { create: unused, get: unused, list: unused, cancel: unused, follow: unused, loads: unused };
  const cluster = { init: unused, join: unused, token: unused, leave: unused, remove: unused, promote: unused, demote: unused };
  server = await serveUnix(socketPath(), localApp({ version: () => ({ version: '1', api: 1, host: 'h1' }), status: unused, doctor: unused, endpoints: unused, networks: unused, createNetwork: unused, removeNetwork: unused, metrics: unused, files: unused, setup: unused, migrations: { ...migrations, ...doors.migrations }, cluster, log: silent, ...rest }), { mode: 0o660 });
}

describe('the local API', () => {
  it('answers, over a socket that only its group may use', async () => {
    await serve();
    expect(await answer('GET', '/v1/version')).toEqual({ status: 200, text: '{"version":"1","api":1,"host":"h1"}' });
    expect((await stat(socketPath())).mode & 0o777).toBe(0o660);
  });

  it.each([
    ['GET', '/v1/nothing', undefined, 'no-such-route', 404],
    ['POST', '/v1/version', '{}', 'no-such-route', 404],
    ['POST', '/v1/migrations', '{"container":', 'bad-request', 400],
    ['POST', '/v1/migrations', '', 'bad-request', 400],
    ['POST', '/v1/migrations', '{"container":"c"}', 'bad-request', 400],
    ['POST', '/v1/migrations', '{"container":"c","to":"h2","keeep":true}', 'bad-request', 400],
    ['GET', '/v1/migrations?limit=0', undefined, 'bad-request', 400],
    ['GET', '/v1/migrations?state=over', undefined, 'bad-request', 400],
    ['GET', '/v1/migrations/UP', undefined, 'bad-request', 400],
    ['POST', '/v1/cluster/init', '{"name":"h1","address":"somewhere"}', 'bad-request', 400],
    ['POST', '/v1/cluster/join', '{"name":"h1"}', 'bad-request', 400],
    ['POST', '/v1/cluster/token', '{"ttl":0}', 'bad-request', 400],
    ['GET', '/v1/status', undefined, 'internal', 500],
  ])('%s %s %s is a problem: %s', async (method, path, body, code, status) => {
    await serve();
    const said = await answer(method, path, body);
    expect(said.status).toBe(status);
    expect(JSON.parse(said.text)).toMatchObject({ code, message: expect.any(String) as string });
  });

  it('begins a migration, and says where it is', async () => {
    let wanted: unknown;
    await serve({ migrations: { create: async (request) => ((wanted = request), migration) } });
    const response = await ask('POST', '/v1/migrations', '{"container":"web","to":"h2","keep":true}');
    response.resume();
    expect([response.statusCode, response.headers.location]).toEqual([201, '/v1/migrations/m1']);
    expect(wanted).toEqual({ container: 'web', to: 'h2', keep: true });
  });

  it.each([['no-container', 404], ['ambiguous', 409], ['moving-already', 409], ['too-late', 409], ['peer-away', 400]])('%s has the status %d', async (code, status) => {
    await serve({ migrations: { create: () => Promise.reject(new CoatError(code, 'no', { hint: 'so' })) } });
    const said = await answer('POST', '/v1/migrations', '{"container":"web","to":"h2"}');
    expect([said.status, JSON.parse(said.text)]).toEqual([status, { code, message: 'no', hint: 'so' }]);
  });

  it('sends events, each with its number, from the one that was heard last', async () => {
    const all: NumberedEvent[] = [{ seq: 5, event: started }, { seq: 7, event: { type: 'phase', phase: 'planned' } }];
    await serve({
      migrations: {
        follow: async (_id, after) => (async function* () {
          yield* all.filter(({ seq }) => seq > after);
        })(),
      },
    });
    const { status, text } = await answer('GET', '/v1/migrations/m1/events');
    expect([status, text]).toEqual([200, `retry: 500\n\nid: 5\nevent: started\ndata: ${JSON.stringify(started)}\n\nid: 7\nevent: phase\ndata: {"type":"phase","phase":"planned"}\n\n`]);
    expect((await answer('GET', '/v1/migrations/m1/events', undefined, { 'last-event-id': '5' })).text).not.toContain('started');
    // nothing more will come: a browser's EventSource asks no more
    expect(await answer('GET', '/v1/migrations/m1/events', undefined, { 'last-event-id': '7' })).toEqual({ status: 204, text: '' });
    expect((await answer('GET', '/v1/migrations/m1/events', undefined, { 'last-event-id': 'x' })).status).toBe(400);
  });

  it('makes each request an operation', async () => {
    const ops: (string | undefined)[] = [];
    await serve({
      version: () => {
        ops.push(operation());
        return { version: '1', api: 1, host: 'h1' };
      },
      status: () => Promise.reject(new Error('broken')),
    });
    await answer('GET', '/v1/version');
    await answer('GET', '/v1/version');
    expect(ops).toEqual([expect.stringMatching(/^[0-9a-f]{12}$/), expect.stringMatching(/^[0-9a-f]{12}$/)]);
    expect(ops[0]).not.toBe(ops[1]);
    expect(JSON.parse((await answer('GET', '/v1/status')).text)).toMatchObject({ code: 'internal', hint: expect.stringMatching(/^the log of the agent says more \(op [0-9a-f]{12}\)$/) as string });
  });

  it('has the metrics as text', async () => {
    await serve({ metrics: () => Promise.resolve('coat 1\n') });
    expect(await answer('GET', '/metrics')).toEqual({ status: 200, text: 'coat 1\n' });
  });

  it('ends a stream when the client has gone, and nothing else', async () => {
    let ended = false;
    await serve({
      migrations: {
        follow: async (_id, _after, signal) => (async function* (): AsyncGenerator<NumberedEvent, void> {
          yield { seq: 1, event: started };
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
          ended = true;
        })(),
      },
    });
    const stop = new AbortController();
    const response = await ask('GET', '/v1/migrations/m1/events', undefined, { signal: stop.signal });
    response.on('error', () => undefined);
    response.once('data', () => stop.abort());
    await expect.poll(() => ended).toBe(true);
  });
});

describe('sockets', () => {
  it('make requests wait until there is somebody to answer', async () => {
    const pending = new PendingHandler();
    server = await serveUnix(socketPath(), pending.listener);
    const asked = answer('POST', '/Plugin.Activate');
    setTimeout(() => pending.give(refusing(new CoatError('not-configured', 'not yet', { hint: 'set it' }))), 50);
    expect(JSON.parse((await asked).text)).toEqual({ Implements: ['NetworkDriver', 'IpamDriver'] });
    expect(await answer('POST', '/IpamDriver.RequestPool', '{}')).toEqual({ status: 500, text: '{"Err":"not yet: set it"}' });
    pending.give((_request, response) => void response.end('another'));
    expect((await answer('POST', '/IpamDriver.RequestPool', '{}')).text).toBe('another');
  });

  it('take the place of what a killed agent left, and leave nothing themselves', async () => {
    await writeFile(socketPath(), '');
    await serve();
    await closeNow(server!);
    server = undefined;
    await expect(stat(socketPath())).rejects.toThrow('ENOENT');
  });

  it("find the host's group", async () => {
    const groups = join(directory, 'group');
    await writeFile(groups, 'root:x:0:\ndocker-users:x:7:\ndocker:x:997:me\n');
    expect(await groupId(groups, 'docker')).toBe(997);
    expect(await groupId(groups, 'nobody')).toBeUndefined();
    expect(await groupId(join(directory, 'none'), 'docker')).toBeUndefined();
  });
});

describe('the listing', () => {
  it('is sorted as people count, and shows no address that is only lent', () => {
    const claim = { network: 'k', host: 'h1', epoch: 1 };
    const claims = [{ ...claim, ip: '10.0.0.10', mac: 'b' }, { ...claim, ip: '10.0.0.9', mac: 'a', container: 'web' }, { ...claim, ip: '10.0.0.11' }];
    const network = { key: 'k', name: 'n1', subnet: '10.0.0.0/24', gateway: '10.0.0.1', vni: 5, mtu: 1450, options: {}, internal: false };
    const shown = listing({
      hosts: new Map([['h2', { name: 'h2', address: '10.1.0.2' }], ['h1', { name: 'h1', address: '10.1.0.1', version: '1' }]]),
      networks: new Map([['k', network]]),
      claims: new Map(claims.map((each) => [each.ip, each])),
    });
    expect(shown.hosts).toEqual([{ name: 'h1', address: '10.1.0.1' }, { name: 'h2', address: '10.1.0.2' }]);
    expect(shown.networks).toEqual([{ name: 'n1', subnet: '10.0.0.0/24', gateway: '10.0.0.1', vni: 5, mtu: 1450 }]);
    expect(networkDetails({ hosts: new Map(), networks: new Map([['k', network]]), claims: new Map([['1', claims[1]!], ['2', claims[2]!]]) })).toEqual([
      { name: 'n1', subnet: '10.0.0.0/24', gateway: '10.0.0.1', vni: 5, mtu: 1450, internal: false, options: {}, reserved: [], endpoints: [{ ip: '10.0.0.9', mac: 'a', host: 'h1', container: 'web', names: [] }] },
    ]);
    expect(shown.endpoints).toEqual([
      { network: 'n1', ip: '10.0.0.9', mac: 'a', host: 'h1', container: 'web' },
      { network: 'n1', ip: '10.0.0.10', mac: 'b', host: 'h1' },
    ]);
  });
});
