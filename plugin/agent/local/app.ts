import { AsyncResource } from 'node:async_hooks';
import express, { type ErrorRequestHandler, type Express, type Response } from 'express';
import { z } from 'zod';
import { CoatError } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import { operate, renameOperation } from '../../../driver/host/operation.ts';
import { type Finding, type HostFile, type Listing, type MigrationEvent, type MigrationRequest, type NetworkDetails, type Setup, type Status, strategies, type Version } from '../api.ts';
import { CONTENT_TYPE } from '../metrics/serve.ts';
import { problemOf, statusOf } from '../peers/problem.ts';
import type { AskedNetwork } from '../../engine/networks.ts';
import { type ClusterDoors, clusterRoutes } from './cluster.ts';

/** What the local API tells and does. */
export interface LocalDoors {
  version(): Version;
  status(): Promise<Status>;
  doctor(): Promise<Finding[]>;
  endpoints(): Listing;
  networks(): NetworkDetails[];
  /** @returns the engine's id of it */
  createNetwork(asked: AskedNetwork): Promise<string>;
  /** In the text format of Prometheus. */
  metrics(): Promise<string>;
  files(): Promise<HostFile[]>;
  /** What would be changed, or taken back, of the engine's settings; with `act`, it is. */
  setup(options: { act: boolean; undo: boolean }): Promise<Setup>;
  migrate(request: MigrationRequest, emit: (event: MigrationEvent) => void, signal: AbortSignal): Promise<void>;
  cluster: ClusterDoors;
  log: Log;
}

const Migration = z.strictObject({
  container: z.string().min(1),
  to: z.string().min(1),
  keep: z.boolean().optional(),
  strategy: z.enum([...strategies, 'auto']).optional(),
});

const NewNetwork = z.strictObject({
  name: z.string().min(1),
  subnets: z.array(z.string()).max(2),
  gateways: z.array(z.string()).max(2),
  ipv6: z.boolean(),
  internal: z.boolean(),
  options: z.record(z.string(), z.string()),
});

/** The local API, version 1: see api.ts. */
export function localApp(doors: LocalDoors): Express {
  const app = express();
  app.disable('x-powered-by');
  app.use(express.json({ type: () => true, limit: '64kb' }));
  app.use((request, response, next) => operate(() => {
    const started = performance.now();
    response.on('close', AsyncResource.bind(() => doors.log.debug({ path: request.path, status: response.statusCode, ms: Math.round(performance.now() - started) }, 'answered a command')));
    next();
  }));
  app.get('/metrics', async (_request, response) => void response.type(CONTENT_TYPE).send(await doors.metrics()));
  app.get('/v1/version', (_request, response) => void response.json(doors.version()));
  app.get('/v1/status', async (_request, response) => void response.json(await doors.status()));
  app.get('/v1/doctor', async (_request, response) => void response.json(await doors.doctor()));
  app.get('/v1/endpoints', (_request, response) => void response.json(doors.endpoints()));
  app.get('/v1/networks', (_request, response) => void response.json(doors.networks()));
  app.post('/v1/networks', async (request, response) => {
    const body = NewNetwork.safeParse(request.body ?? {});
    if (!body.success) throw new CoatError('bad-request', z.prettifyError(body.error).replaceAll('\n', ' '));
    response.json({ id: await doors.createNetwork(body.data) });
  });
  app.get('/v1/files', async (_request, response) => void response.json(await doors.files()));
  app.get('/v1/setup', async (request, response) => void response.json(await doors.setup({ act: false, undo: request.query['undo'] === 'yes' })));
  app.post('/v1/setup', async (request, response) => void response.json(await doors.setup({ act: true, undo: request.query['undo'] === 'yes' })));
  app.post('/v1/migrations', async (request, response) => {
    const body = Migration.safeParse(request.body ?? {});
    if (!body.success) throw new CoatError('bad-request', z.prettifyError(body.error).replaceAll('\n', ' '));
    const { keep, strategy, ...wanted } = body.data;
    await streamMigration(doors, { ...wanted, ...(keep === undefined ? {} : { keep }), ...(strategy === undefined ? {} : { strategy }) }, response);
  });
  clusterRoutes(app, doors.cluster);
  app.use((request) => {
    throw new CoatError('no-such-route', `there is no ${request.method} ${request.path} in this API`, { hint: 'the CLI plugin and the agent should have the same version' });
  });
  const failed: ErrorRequestHandler = (error: unknown, _request, response, _next) => {
    if (response.headersSent) {
      doors.log.error({ err: error }, 'a stream of events ended with an error');
      response.destroy();
      return;
    }
    const known = isBadBody(error) ? new CoatError('bad-request', `the body is not JSON: ${error.message}`) : error;
    if (!(known instanceof CoatError)) doors.log.error({ err: known }, 'a local request failed');
    response.status(statusOf(known)).json(problemOf(known));
  };
  app.use(failed);
  return app;
}

/** One event a line. Until the first one there may still be a Problem with a status of its own. */
async function streamMigration(doors: LocalDoors, request: MigrationRequest, response: Response): Promise<void> {
  const cancel = new AbortController();
  response.on('close', () => {
    if (!response.writableFinished) cancel.abort(new CoatError('cancelled', 'the migration was cancelled'));
  });
  response.type('application/x-ndjson');
  const emit = (event: MigrationEvent): void => {
    // from its first event on the operation is the move, so that what it logs, on both hosts, is found by the id in its report
    if (event.type === 'started') renameOperation(event.id);
    if (!response.destroyed) response.write(`${JSON.stringify(event)}\n`);
  };
  await doors.migrate(request, emit, cancel.signal);
  response.end();
}

/** body-parser's errors carry the status they stand for. */
function isBadBody(error: unknown): error is Error {
  return error instanceof Error && 'status' in error && error.status === 400;
}
