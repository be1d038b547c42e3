import { type Agent, type ClientRequest, request, type IncomingMessage } from 'node:http';
import { z } from 'zod';
import { CoatError } from '../../../driver/host/errors.ts';
import { StoreAwayError } from '../../../driver/store/store.ts';

/** An answer must be there within this, ms; what waits for the store shall know soon that it is away. */
export const ANSWER_MS = 3_000;

/** gRPC's status code for what a host may not do; see guard.ts. */
const DENIED = 7;

/** gRPC's status codes that mean "not now": deadline exceeded, unavailable; and what etcd answers without a leader. */
const NOT_NOW = new Set([4, 14]);

const Failure = z.object({ code: z.number().optional(), message: z.string().optional(), error: z.unknown().optional() });

/**
 * One call of etcd's JSON gateway, which is part of etcd itself: gRPC's messages as JSON, bytes in
 * base64, 64-bit numbers as strings, fields at their default left out
 * (https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/).
 *
 * @throws {@link StoreAwayError} when there is no answer within {@link ANSWER_MS}; a write may have been done nevertheless
 * @throws CoatError `store-refused` when etcd says no, for example because its disk quota is used up
 */
export async function post(agent: Agent, path: string, body: unknown): Promise<unknown> {
  const { response, give } = await open(agent, path, body);
  try {
    const text = await textOf(response);
    if (response.statusCode === 200) return JSON.parse(text) as unknown;
    throw refusal(text);
  } catch (error) {
    throw error instanceof CoatError ? error : new StoreAwayError(error);
  } finally {
    give();
  }
}

/** Begins a call whose answer is a stream without an end; its first byte must come in time. */
export async function stream(agent: Agent, path: string, body: unknown): Promise<{ response: IncomingMessage; request: ClientRequest }> {
  const { response, request: made, give } = await open(agent, path, body);
  give();
  if (response.statusCode === 200) return { response, request: made };
  throw refusal(await textOf(response));
}

function open(agent: Agent, path: string, body: unknown): Promise<{ response: IncomingMessage; request: ClientRequest; give: () => void }> {
  return new Promise((resolve, reject) => {
    const content = JSON.stringify(body);
    const made = request({
      agent, path, method: 'POST', host: 'etcd',
      headers: {
        'content-type': 'application/json', 'content-length': Buffer.byteLength(content),
        // a member that has lost its leader ends a watch, instead of keeping it silent (etcd clientv3.WithRequireLeader)
        'grpc-metadata-hasleader': 'true',
      },
    });
    const timer = setTimeout(() => made.destroy(new Error(`no answer within ${ANSWER_MS} ms`)), ANSWER_MS);
    const give = (): void => clearTimeout(timer);
    made.on('error', (error) => {
      give();
      reject(new StoreAwayError(error));
    });
    made.on('response', (response) => resolve({ response, request: made, give }));
    made.end(content);
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function refusal(text: string): CoatError {
  const { code, message } = parseFailure(text);
  if (code !== undefined && NOT_NOW.has(code)) return new StoreAwayError(new Error(message));
  if (code === DENIED) return new CoatError('store-refused', `the store refused: ${message}`, { hint: 'a host that does not keep the store writes only what is its own, see docs/cluster.md, "Who may do what"' });
  return new CoatError('store-refused', `etcd refused: ${message}`);
}

function parseFailure(text: string): { code?: number | undefined; message: string } {
  try {
    const failure = Failure.parse(JSON.parse(text));
    return { code: failure.code, message: failure.message ?? text };
  } catch {
    return { message: text.slice(0, 300) };
  }
}

/** Whether the etcd behind a unix socket has a leader and answers. */
export function healthy(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const made = request({ socketPath, path: '/health', timeout: 1_000 });
    made.on('timeout', () => made.destroy());
    made.on('error', () => resolve(false));
    made.on('response', (response) => {
      textOf(response).then((text) => resolve(/"health":\s*"true"/.test(text)), () => resolve(false));
    });
    made.end();
  });
}
