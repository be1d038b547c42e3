import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { mkdtemp, rm } from 'node:fs/promises';
import { request, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silent } from '../../../driver/host/log.ts';
import type { MigrationDetails } from '../../../plugin/agent/api.ts';
import { localApp } from '../../../plugin/agent/local/app.ts';
import { closeNow, serveUnix } from '../../../plugin/agent/sockets.ts';
import { listing, migration, networks, report, status, version } from '../cli/support.ts';

interface Operation { operationId: string; requestBody?: unknown; parameters?: { name: string; in: string }[]; responses: Record<string, { content?: Record<string, { schema: object }> }> }
interface Document { openapi: string; paths: Record<string, Record<string, Operation>>; components: { schemas: Record<string, object> } }

const details: MigrationDetails = { ...migration, ended: 5, phase: 'cleaned', outcome: 'migrated', request: { container: 'web', to: 'beta' }, report };
const entered = { name: 'alpha', address: '192.0.2.1', hosts: [{ name: 'alpha', address: '192.0.2.1' }] };

let directory: string;
let server: Server;
let document: Document;
let ajv: Ajv2020;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'coat-openapi-'));
  server = await serveUnix(join(directory, 'agent.sock'), localApp({
    version: () => version,
    status: async () => status,
    doctor: async () => [{ check: 'engine', state: 'ok', found: 'Docker 28' }],
    endpoints: () => listing,
    networks: () => networks,
    removeNetwork: async () => undefined,
    createNetwork: async () => 'an-id',
    metrics: async () => 'coat 1\n',
    files: async () => [{ path: '/run/coat', what: 'sockets', goesWith: 'docker coat leave' }],
    setup: async () => ({ file: '/etc/docker/daemon.json', after: '{}' }),
    migrations: {
      create: async () => migration,
      get: async () => details,
      list: async () => ({ migrations: [migration], silent: ['gamma'] }),
      cancel: async () => migration,
      follow: async () => (async function* () {
        yield { seq: 1, event: { type: 'done' as const, report } };
      })(),
      loads: async () => [{ name: 'alpha', address: '192.0.2.1', reachable: true, memory: { total: 2, available: 1 }, containers: [{ id: 'c', name: 'web', networks: ['n1'], memory: 1 }] }, { name: 'beta', address: '192.0.2.2', reachable: false, problem: 'away' }],
    },
    cluster: { init: async () => entered, join: async () => entered, token: async () => ({ token: 't', expires: 1 }), leave: async () => undefined, remove: async () => undefined, promote: async () => ({ hosts: ['alpha'] }), demote: async () => ({ hosts: ['alpha'], advice: 'one more' }) },
    log: silent,
  }));
  document = JSON.parse((await ask('get', '/v1/openapi.json')).text) as Document;
  ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema({ $id: 'api', components: document.components });
});
afterAll(async () => {
  await closeNow(server);
  await rm(directory, { recursive: true, force: true });
});

function ask(method: string, path: string, body?: object): Promise<{ status: number; type: string; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: join(directory, 'agent.sock'), method: method.toUpperCase(), path }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode!, type: (response.headers['content-type'] ?? '').split(';')[0]!, text }));
    });
    asked.on('error', reject);
    asked.end(body && JSON.stringify(body));
  });
}

/** Compiles a schema of the document. */
const compiled = (schema: object): ValidateFunction => ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"api#/components')) as object);

/** A body that each route takes. */
const BODIES: Record<string, object> = {
  postNetworks: { name: 'n1', subnets: [], gateways: [], ipv6: false, internal: false, options: {} },
  postNetworksRemove: { name: 'n1' },
  postMigrations: { container: 'web', to: 'beta' },
  postClusterInit: { name: 'alpha' },
  postClusterJoin: { name: 'alpha', token: 't' },
  postClusterToken: { ttl: 60_000 },
  postClusterLeave: { force: false },
  postClusterRemove: { host: 'beta', force: false },
  postClusterPromote: { host: 'beta' },
  postClusterDemote: { host: 'beta' },
};

test('is OpenAPI 3.1, and each schema that is referred to is there', () => {
  expect(document.openapi).toBe('3.1.1');
  const names = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)].map(([, ref]) => ref!);
  expect(names.length).toBeGreaterThan(10);
  for (const ref of names) expect(Object.keys(document.components.schemas)).toContain(ref.replace('#/components/schemas/', ''));
  const ids = Object.values(document.paths).flatMap((path) => Object.values(path).map(({ operationId }) => operationId));
  expect(new Set(ids).size).toBe(ids.length);
});

test('every route answers as it is described, and takes what is described', async () => {
  let seen = 0;
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const place = `${method} ${path}`;
      const body = BODIES[operation.operationId];
      expect(operation.requestBody !== undefined, place).toBe(body !== undefined);
      if (body !== undefined) {
        const { schema } = (operation.requestBody as { content: Record<string, { schema: object }> }).content['application/json']!;
        expect(compiled(schema)(body), place).toBe(true);
        expect(compiled(schema)({ ...body, superfluous: 1 }), place).toBe(false);
      }
      const { status: code, type, text } = await ask(method, path.replace('{id}', 'm1'), body);
      const described = operation.responses[code]?.content?.[type];
      expect(described, `${place} answered ${code} ${type}: ${text}`).toBeDefined();
      if (type === 'application/json') {
        const valid = compiled(described!.schema);
        expect(valid(JSON.parse(text)) ? [] : valid.errors, place).toEqual([]);
      }
      seen += 1;
    }
  }
  expect(seen).toBeGreaterThan(20);
});

test('a refusal is described as well', async () => {
  const { status: code, text } = await ask('post', '/v1/migrations', { to: 'h2' });
  expect(code).toBe(400);
  expect(compiled(document.paths['/v1/migrations']!['post']!.responses['default']!.content!['application/json']!.schema)(JSON.parse(text))).toBe(true);
});

test('the events are what the document says events are', async () => {
  const { text } = await ask('get', '/v1/migrations/m1/events');
  const data = text.split('\n').filter((line) => line.startsWith('data: ')).map((line) => JSON.parse(line.slice(6)) as unknown);
  expect(data).toHaveLength(1);
  const valid = compiled(document.components.schemas['MigrationEvent']!);
  for (const event of data) expect(valid(event) ? [] : valid.errors).toEqual([]);
});
