import { request } from 'node:http';
import { join } from 'node:path';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { type Migration, type MigrationDetails, type MigrationList, type Phase, phases } from '../../plugin/agent/api.ts';
import { lab, PATIENCE_MS } from './hosts.ts';
import type { Container, Scene } from './scene.ts';

export interface Said { status: number; headers: Record<string, unknown>; text: string }

/** Asks the agent of a host through its socket, as a scheduler would. */
export function api(host: LabHost, method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<Said> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: join(host.root, 'run/coat/agent.sock'), method, path, headers, timeout: PATIENCE_MS }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, text })).on('error', reject);
    });
    asked.on('error', reject).on('timeout', () => asked.destroy(new Error(`${path} took too long`)));
    asked.end(body && JSON.stringify(body));
  });
}

/** Asks, and expects JSON of a good status. */
export async function asked<T>(host: LabHost, method: string, path: string, body?: object): Promise<T> {
  const { status, text } = await api(host, method, path, body);
  if (status >= 300) throw new Error(`${method} ${path}: ${text}`);
  return JSON.parse(text) as T;
}

/** Waits until a container's newest move is in a phase. */
export async function inPhase(host: LabHost, container: string, ...phases: Phase[]): Promise<Migration> {
  return until(
    `the move of ${container} to be ${phases.join(' or ')}`,
    async () => {
      const { migrations: [move] } = await asked<MigrationList>(host, 'GET', `/v1/migrations?state=running&container=${container}`);
      return move !== undefined && phases.includes(move.phase) ? move : undefined;
    },
    { timeout: PATIENCE_MS, every: 5 },
  );
}

/** A phase, or the moment in `copying` from which on memory goes ahead. */
export type Moment = Phase | 'sending memory';

/** Waits until a move has come as far as that, and knows it within a moment. */
export function reaches(host: LabHost, id: string, moment: Moment): Promise<void> {
  const signs = moment === 'sending memory' ? ['"what":"memory"'] : phases.slice(phases.indexOf(moment)).map((phase) => `"phase":"${phase}"`);
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: join(host.root, 'run/coat/agent.sock'), path: `/v1/migrations/${id}/events`, timeout: 2 * PATIENCE_MS }, (response) => {
      let text = '';
      const seen = (): boolean => signs.some((sign) => text.includes(sign));
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (!seen()) return;
        asked.destroy();
        resolve();
      });
      response.on('end', () => reject(new Error(`the move never was ${moment}: ${text}`)));
    });
    asked.on('error', reject).on('timeout', () => asked.destroy(new Error(`the move was not ${moment} in time`)));
    asked.end();
  });
}

/** Waits for the end of a move. */
export async function endOf(host: LabHost, id: string): Promise<MigrationDetails> {
  return until(
    `the migration ${id} to end`,
    async () => {
      const details = await asked<MigrationDetails>(host, 'GET', `/v1/migrations/${id}`);
      return details.ended === undefined ? undefined : details;
    },
    { timeout: 2 * PATIENCE_MS, every: 50 },
  );
}

/** A server on `host` whose files take long to copy to `to`, until the limit is lifted. */
export async function slowToCopy(scene: Scene, host: LabHost, to: LabHost): Promise<Container> {
  const server = await scene.echo(host);
  await server.exec('sh', '-c', 'head -c 30000000 /dev/urandom > /srv/ballast');
  await slow(scene, to, '20mbit');
  return server;
}

/** Slows the link of a host down for the rest of the test. */
export async function slow(scene: Scene, host: LabHost, rate: string): Promise<void> {
  scene.finally(() => lab.limit(host.name, null));
  await lab.limit(host.name, rate);
}
