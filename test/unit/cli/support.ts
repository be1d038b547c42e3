import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll } from 'vitest';
import type { Listing, Migration, MigrationEvent, NetworkDetails, Report, Status, Version } from '../../../plugin/agent/api.ts';

let root: string | undefined;

afterAll(() => {
  if (root !== undefined) rmSync(root, { recursive: true, force: true });
});

/** A new directory that any user may read; gone after the last test of the file. */
export function scratch(): string {
  if (root === undefined) {
    root = mkdtempSync(join(tmpdir(), 'coat-cli-'));
    chmodSync(root, 0o755);
  }
  const directory = mkdtempSync(join(root, 'd'));
  chmodSync(directory, 0o755);
  return directory;
}

let bundled: Promise<string> | undefined;

/** The program as it is shipped: one CommonJS file. */
function bundle(): Promise<string> {
  bundled ??= (async () => {
    const outfile = join(scratch(), 'cli.cjs');
    const entry = join(import.meta.dirname, '../../../plugin/cli/main.ts');
    await build({ entryPoints: [entry], bundle: true, platform: 'node', format: 'cjs', target: 'node20', outfile, logLevel: 'warning' });
    return outfile;
  })();
  return bundled;
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface Running {
  child: ChildProcess;
  ended: Promise<Ended>;
}

interface Start {
  env?: NodeJS.ProcessEnv;
  uid?: number;
}

/** Starts `docker-coat` with exactly these words, and none of docker's variables but those given. */
export async function start(argv: readonly string[], { env = {}, uid }: Start = {}): Promise<Running> {
  const file = await bundle();
  const child = spawn(process.execPath, [file, ...argv], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], DOCKER_CONFIG: '/nonexistent', ...env },
    ...(uid === undefined ? {} : { uid }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { child, ended };
}

export async function coat(argv: readonly string[], options?: Start): Promise<Ended> {
  return (await start(argv, options)).ended;
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

/** An agent with the answers it is given, on a socket of its own. */
export class FakeAgent implements AsyncDisposable {
  readonly socket: string;
  readonly asked: { method: string; url: string; body: unknown }[] = [];
  readonly #server: Server;

  private constructor(socket: string, server: Server) {
    this.socket = socket;
    this.#server = server;
  }

  static async listen(routes: Record<string, Handler>, socket = join(scratch(), 'agent.sock')): Promise<FakeAgent> {
    const server = createServer((request, response) => {
      void (async () => {
        let body = '';
        for await (const chunk of request) body += chunk;
        const key = `${request.method} ${request.url}`;
        agent.asked.push({ method: request.method!, url: request.url!, body: body === '' ? undefined : JSON.parse(body) });
        await (routes[key] ?? notFound)(request, response);
      })();
    });
    const agent = new FakeAgent(socket, server);
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    return agent;
  }

  get env(): NodeJS.ProcessEnv {
    return { COAT_SOCKET: this.socket };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const notFound: Handler = (_request, response) => response.writeHead(404).end('no such page');

export const json = (value: unknown, status = 200): Handler => (_request, response) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));

export const migration: Migration = { id: 'm1', container: 'web', from: 'alpha', to: 'beta', asked: 'alpha', started: 1_700_000_000_000, phase: 'planned' };

export const POST = 'POST /v1/migrations';
export const EVENTS = 'GET /v1/migrations/m1/events';

/** Writes the events after the one that was heard last, and ends. */
export const events = (...all: MigrationEvent[]): Handler => (request, response) => {
  const heard = Number(request.headers['last-event-id'] ?? 0);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.end(all.map(sse).slice(heard).join(''));
};

/** An event as it is sent; numbers begin with 1. */
export const sse = (event: MigrationEvent, index: number): string => `id: ${index + 1}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;

/** An agent whose one move has these events. */
export const moving = (...all: MigrationEvent[]): Record<string, Handler> => ({ [POST]: json(migration, 201), [EVENTS]: events(...all) });

export const version: Version = { version: '9.8.7', api: 1, host: 'alpha' };

export const listing: Listing = {
  hosts: [{ name: 'alpha', address: '192.0.2.1', store: 'member' }, { name: 'beta', address: '192.0.2.2' }],
  networks: [
    { name: 'n1', subnet: '10.42.0.0/24', gateway: '10.42.0.1', vni: 4242, mtu: 1450 },
    { subnet: '10.43.0.0/24', gateway: '10.43.0.1', vni: 4243, mtu: 1450 },
  ],
  endpoints: [
    { network: 'n1', ip: '10.42.0.2', mac: '02:42:0a:2a:00:02', host: 'alpha', container: 'web' },
    { network: 'n1', ip: '10.42.0.3', mac: '02:42:0a:2a:00:03', host: 'alpha', container: 'worker', movingTo: 'beta' },
    { network: 'n1', ip: '10.42.0.4', host: 'beta' },
    { network: 'n1', ip: '10.42.0.5', host: 'beta', container: 'db', ports: [{ host: 'alpha', hostPort: 8080, proto: 'tcp', port: 80 }, { host: 'beta', hostIp: '127.0.0.1', hostPort: 53, proto: 'udp', port: 5353 }] },
  ],
};

export const networks: NetworkDetails[] = [
  {
    ...{ name: 'n1', subnet: '10.42.0.0/24', gateway: '10.42.0.1', vni: 4242, mtu: 1450, internal: false, options: { vni: '4242' }, reserved: ['10.42.0.9'], maker: 'alpha' },
    endpoints: [{ ip: '10.42.0.2', mac: '02:42:0a:2a:00:02', host: 'alpha', container: 'web', movingTo: 'beta', names: ['web', 'www'] }],
  },
  { subnet: '10.43.0.0/24', gateway: '10.43.0.1', vni: 4243, mtu: 1400, internal: true, options: {}, reserved: [], endpoints: [] },
];

export const status: Status = {
  ...version,
  address: '192.0.2.1',
  store: { state: 'ok', endpoint: 'http://192.0.2.1:2379', revision: 17 },
  engine: { version: '28.2.2', apiVersion: '1.50' },
  runtime: 'registered',
  criu: { problem: 'not found' },
  hosts: [
    { name: 'alpha', address: '192.0.2.1', version: '9.8.7', self: true, reachable: true },
    { name: 'beta', address: '192.0.2.2', self: false, reachable: false, carries: 1400 },
  ],
  paths: [{ check: 'MTU', state: 'problem', found: 'the path to beta carries 1400 bytes', remedy: 'raise it' }],
  migrations: [{ id: 'm1', container: 'web', from: 'alpha', to: 'beta', phase: 'copying' }],
};

export const report: Report = {
  id: 'm1',
  container: 'web',
  from: 'alpha',
  to: 'beta',
  outcome: 'migrated',
  blackout: 312.4,
  total: 4213,
  phases: [{ phase: 'planned', ms: 120 }, { phase: 'copying', ms: 3500.2 }, { phase: 'frozen', ms: 4.25 }],
  steps: [
    { name: 'preflight', host: 'beta', start: 3, ms: 110, blackout: false },
    { name: 'dump', host: 'alpha', start: 3700, ms: 180, blackout: true },
  ],
  bytes: { memory: 52_428_800, state: 1_200, files: 0, image: 1_000_000_000 },
  warnings: ['the image had to be sent'],
};
