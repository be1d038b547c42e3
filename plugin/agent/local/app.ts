import { AsyncResource } from 'node:async_hooks';
import express, { type ErrorRequestHandler, type Express, type Request, type Response } from 'express';
import { CoatError } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import { operate } from '../../../driver/host/operation.ts';
import type { Finding, HostFile, Listing, Migration, NetworkDetails, NewNetwork, NumberedEvent, Setup, Status, Version } from '../api.ts';
import { CONTENT_TYPE } from '../metrics/serve.ts';
import type { MigrationDoors } from '../migrations/desk.ts';
import { problemOf, statusOf } from '../peers/problem.ts';
import type { ClusterDoors } from './cluster.ts';
import { openApi } from './openapi.ts';
import { checked, expressPath, type Route } from './route.ts';
import { routes } from './routes.ts';
import { sendEvents } from './stream.ts';

/** What the local API tells and does. */
export interface LocalDoors {
  version(): Version;
  status(): Promise<Status>;
  doctor(): Promise<Finding[]>;
  endpoints(): Listing;
  networks(): NetworkDetails[];
  /** @returns the engine's id of it */
  createNetwork(asked: NewNetwork): Promise<string>;
  /** By name or subnet. */
  removeNetwork(name: string): Promise<void>;
  /** In the text format of Prometheus. */
  metrics(): Promise<string>;
  files(): Promise<HostFile[]>;
  /** What would be changed, or taken back, of the engine's settings; with `act`, it is. */
  setup(options: { act: boolean; undo: boolean }): Promise<Setup>;
  migrations: MigrationDoors;
  cluster: ClusterDoors;
  log: Log;
}

/** What is not 400 of the refusals, where another status says more to a program. */
const STATUS: Readonly<Record<string, number>> = { 'no-such-route': 404, 'no-migration': 404, 'no-container': 404, 'no-network': 404, 'network-in-use': 409, ambiguous: 409, 'moving-already': 409, 'memory-missing': 409, 'too-late': 409 };

/** The local API, version 1: see ../api.ts. */
export function localApp(doors: LocalDoors): Express {
  const app = express();
  app.disable('x-powered-by');
  app.use(express.json({ type: () => true, limit: '64kb' }));
  app.use((request, response, next) => operate(() => {
    const started = performance.now();
    response.on('close', AsyncResource.bind(() => doors.log.debug({ path: request.path, status: response.statusCode, ms: Math.round(performance.now() - started) }, 'answered a command')));
    next();
  }));
  const all = routes(doors);
  app.get('/v1/openapi.json', (_request, response) => void response.json(openApi(all)));
  for (const route of all) app[route.method](expressPath(route.path), (request, response) => answer(route, request, response));
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
    const problem = problemOf(known);
    response.status(STATUS[problem.code] ?? statusOf(known)).json(problem);
  };
  app.use(failed);
  return app;
}

async function answer(route: Route, request: Request, response: Response): Promise<void> {
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  const asked = {
    body: checked(route.body, request.body ?? {}),
    query: checked(route.query, request.query),
    params: checked(route.params, request.params),
    signal: gone.signal,
    after: numberOf(request.get('last-event-id')),
  };
  const said = await route.act(asked as never);
  if (route.answer === 'events') return sendEvents(response, said as AsyncGenerator<NumberedEvent, void>, asked.after);
  if (route.answer === 'text') return void response.type(CONTENT_TYPE).send(said);
  if (route.status === 201) response.location(`${route.path}/${(said as Migration).id}`);
  response.status(route.status).json(said);
}

/** @throws CoatError `bad-request` */
function numberOf(lastEvent: string | undefined): number {
  const number = Number(lastEvent ?? 0);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new CoatError('bad-request', `Last-Event-ID "${lastEvent}" is none of an event of ours`, { hint: 'leave it out to hear all events' });
}

/** body-parser's errors carry the status they stand for. */
function isBadBody(error: unknown): error is Error {
  return error instanceof Error && 'status' in error && error.status === 400;
}
