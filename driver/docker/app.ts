import express, { type ErrorRequestHandler, type Express, type Request, type Response } from 'express';
import { CoatError, codeOf } from '../host/errors.ts';
import type { Log } from '../host/log.ts';
import { operate } from '../host/operation.ts';
import type { Method } from './methods.ts';

/** moby pkg/plugins/transport. */
const MEDIA_TYPE = 'application/vnd.docker.plugins.v1.2+json';

/** The largest body Docker could mean, bytes: options and ports of one container. */
const LARGEST = 4 * 1024 * 1024;

/**
 * The plugin protocol over HTTP. It knows nothing but JSON and `{Err}`: Docker's clients show that
 * field to the user with any status but 200, for both kinds of driver. Docker sends no Content-Type,
 * and after a broken connection it repeats the call without its body (pkg/plugins/client.go).
 *
 * @param called told of each call: its name, how long it took, ms, and whether it went well
 */
export function createApp(methods: Record<string, Method>, log: Log, called: (method: string, ms: number, ok: boolean) => void = () => undefined): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(express.raw({ type: () => true, limit: LARGEST }));
  for (const [name, method] of Object.entries(methods)) {
    app.post(`/${name}`, (request: Request, response: Response) => void operate(() => answer(name, method, request, response)));
  }
  app.use((request: Request, response: Response) => fail(response, 404, `coat does not have ${request.path.slice(1, 100)}`));
  const broken: ErrorRequestHandler = (error: unknown, request, response, _next) => {
    log.warn({ err: error, path: request.path }, 'a call of Docker could not be read');
    fail(response, 400, error instanceof Error ? error.message : 'unreadable');
  };
  app.use(broken);

  async function answer(name: string, method: Method, request: Request, response: Response): Promise<void> {
    const started = performance.now();
    try {
      const result = await method.run(read(method, request.body));
      send(response, 200, result ?? {});
      const ms = performance.now() - started;
      called(name, ms, true);
      log.debug({ method: name, ms: Math.round(ms) }, 'answered Docker');
    } catch (error) {
      called(name, performance.now() - started, false);
      log.warn({ err: error, method: name, code: codeOf(error) }, 'refused Docker');
      fail(response, 500, sentence(error));
    }
  }
  return app;
}

function read(method: Method, body: unknown): unknown {
  const text = Buffer.isBuffer(body) ? body.toString().trim() : '';
  if (method.empty) return undefined;
  if (text === '') throw new CoatError('empty-body', 'the request came without its content, as after a broken connection', { hint: 'try again' });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CoatError('bad-json', 'the request is not JSON', { cause });
  }
  const { success, data, error } = method.body.safeParse(json);
  if (success) return data;
  const [issue] = error.issues;
  throw new CoatError('bad-request', `the request makes no sense: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
}

/** What a person sees behind "Error response from daemon". */
function sentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error instanceof CoatError && error.code === 'kernel' && error.cause instanceof Error ? ` (${error.cause.message})` : '';
  const hint = error instanceof CoatError && error.hint ? `; ${error.hint}` : '';
  return error.message + cause + hint;
}

function fail(response: Response, status: number, Err: string): void {
  send(response, status, { Err });
}

function send(response: Response, status: number, body: unknown): void {
  response.status(status).set('Content-Type', MEDIA_TYPE).end(JSON.stringify(body));
}
