import { request, type IncomingMessage } from 'node:http';
import { CoatError, codeOf, explain } from '../../driver/host/errors.ts';
import type {
  Entered, Finding, HostFile, HostLoad, Listing, Migration, MigrationDetails, MigrationEvent, MigrationFilter, MigrationList, MigrationRequest, NetworkDetails, NewToken, NumberedEvent, Problem, Setup, Status, StoreHosts, Version,
} from '../agent/api.ts';
import { pathsUnder } from '../agent/paths.ts';
import { lines } from '../../driver/host/lines.ts';

/** How long a question may take, in ms. `status` asks every host, so it is not short. */
const ANSWER_MS = 30_000;

/** How long a change of the cluster may take, in ms: a new store is waited for, and copies of it. */
const CLUSTER_MS = 120_000;

/** Where the agent listens, unless `COAT_SOCKET` says otherwise. */
export function socketPath(env: NodeJS.ProcessEnv): string {
  return env['COAT_SOCKET'] || pathsUnder('').agentSocket;
}

/** The agent of this machine, over its unix socket; see ../agent/api.ts. Everything throws CoatError. */
export class Agent {
  readonly socket: string;

  constructor(socket: string) {
    this.socket = socket;
  }

  version(timeout?: number): Promise<Version> {
    return this.#call('GET', '/v1/version', timeout);
  }

  status(): Promise<Status> {
    return this.#call('GET', '/v1/status');
  }

  doctor(): Promise<Finding[]> {
    return this.#call('GET', '/v1/doctor');
  }

  files(): Promise<HostFile[]> {
    return this.#call('GET', '/v1/files');
  }

  /** What has to be changed in the engine's settings, or taken back; with `act`, it is done. */
  setup({ act, undo }: { act: boolean; undo: boolean }): Promise<Setup> {
    return this.#call(act ? 'POST' : 'GET', `/v1/setup${undo ? '?undo=yes' : ''}`);
  }

  listing(timeout?: number): Promise<Listing> {
    return this.#call('GET', '/v1/endpoints', timeout);
  }

  networks(): Promise<NetworkDetails[]> {
    return this.#call('GET', '/v1/networks');
  }

  createNetwork(asked: object): Promise<{ id: string }> {
    return this.#call('POST', '/v1/networks', CLUSTER_MS, asked);
  }

  async removeNetwork(name: string): Promise<void> {
    await this.#call('POST', '/v1/networks/remove', CLUSTER_MS, { name });
  }

  init(wanted: { name: string; address?: string; store?: object }): Promise<Entered> {
    return this.#cluster('init', wanted);
  }

  join(wanted: { token: string; name: string; address?: string }): Promise<Entered> {
    return this.#cluster('join', wanted);
  }

  /** @param ttl ms */
  token(ttl: number): Promise<NewToken> {
    return this.#cluster('token', { ttl });
  }

  leave(force: boolean): Promise<object> {
    return this.#cluster('leave', { force });
  }

  remove(host: string, force: boolean): Promise<object> {
    return this.#cluster('remove', { host, force });
  }

  promote(host: string): Promise<StoreHosts> {
    return this.#cluster('promote', { host });
  }

  demote(host: string): Promise<StoreHosts> {
    return this.#cluster('demote', { host });
  }

  /** Begins a move. It goes on by itself. */
  create(wanted: MigrationRequest): Promise<Migration> {
    return this.#call('POST', '/v1/migrations', ANSWER_MS, wanted);
  }

  migrations(filter: Partial<Record<keyof MigrationFilter, string | number>> = {}, timeout?: number): Promise<MigrationList> {
    const query = new URLSearchParams(Object.entries(filter).map(([name, value]): [string, string] => [name, String(value)])).toString();
    return this.#call('GET', `/v1/migrations${query === '' ? '' : `?${query}`}`, timeout);
  }

  migration(id: string): Promise<MigrationDetails> {
    return this.#call('GET', `/v1/migrations/${id}`);
  }

  cancel(id: string): Promise<Migration> {
    return this.#call('POST', `/v1/migrations/${id}/cancel`);
  }

  hosts(): Promise<HostLoad[]> {
    return this.#call('GET', '/v1/hosts');
  }

  openapi(): Promise<object> {
    return this.#call('GET', '/v1/openapi.json');
  }

  /**
   * The events of a move from a number on, as far as this connection carries; see ../agent/local/stream.ts. Ends quietly when the agent goes away in the
   * middle. `signal` closes the connection, and nothing else.
   */
  async *events(id: string, after: number, signal: AbortSignal): AsyncGenerator<NumberedEvent, void> {
    const response = await this.#ask('GET', `/v1/migrations/${id}/events`, signal, undefined, after === 0 ? {} : { 'last-event-id': String(after) });
    try {
      let seq = after;
      for await (const line of lines(response)) {
        const [field, value = ''] = split(line);
        if (field === 'id') seq = Number(value);
        if (field === 'data') yield { seq, event: JSON.parse(value) as MigrationEvent };
      }
    } catch (error) {
      if (error instanceof SyntaxError) throw new CoatError('bad-answer', 'The coat agent sent an event that is not JSON.', { cause: error });
      if (codeOf(error) !== 'ECONNRESET' && !signal.aborted) throw error;
    } finally {
      response.destroy();
    }
  }

  #cluster<T>(what: string, body: unknown): Promise<T> {
    return this.#call('POST', `/v1/cluster/${what}`, CLUSTER_MS, body);
  }

  async #call<T>(method: 'GET' | 'POST', path: string, timeout = ANSWER_MS, body?: unknown): Promise<T> {
    const signal = AbortSignal.timeout(timeout);
    try {
      return JSON.parse(await text(await this.#ask(method, path, signal, body))) as T;
    } catch (error) {
      if (signal.aborted) throw new CoatError('agent-slow', `The coat agent did not answer within ${timeout / 1000} s.`, { cause: error });
      if (error instanceof CoatError) throw error;
      throw new CoatError('bad-answer', `The coat agent's answer to ${path} cannot be read: ${explain(error)}.`, { cause: error });
    }
  }

  /** Resolves with a response of a status from 200 on; one from 300 on becomes the Problem it carries. */
  async #ask(method: string, path: string, signal: AbortSignal, body?: unknown, more: Record<string, string> = {}): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...more };
      const asked = request({ socketPath: this.socket, method, path, signal, headers, agent: false });
      asked.on('response', resolve);
      asked.on('error', (error) => reject(signal.aborted ? error : unreachable(error, this.socket)));
      asked.end(body === undefined ? undefined : JSON.stringify(body));
    });
    const { statusCode = 0 } = response;
    if (statusCode >= 200 && statusCode < 300) return response;
    throw refusal(statusCode, await text(response));
  }
}

/** `field: value`, as a line of server-sent events is. */
function split(line: string): [field: string, value?: string] {
  const at = line.indexOf(': ');
  return at === -1 ? [line] : [line.slice(0, at), line.slice(at + 2)];
}

async function text(response: IncomingMessage): Promise<string> {
  let all = '';
  response.setEncoding('utf8');
  for await (const chunk of response) all += chunk as string;
  return all;
}

function refusal(status: number, body: string): CoatError {
  try {
    const problem = JSON.parse(body) as Partial<Problem>;
    if (typeof problem.message === 'string') {
      return new CoatError(problem.code ?? 'refused', problem.message, problem.hint === undefined ? {} : { hint: problem.hint });
    }
  } catch {
    // not a Problem: said below
  }
  return new CoatError('bad-answer', `The coat agent answered with HTTP status ${status} and no reason.`, {
    hint: "Its version may not fit this program's: see 'docker coat version'.",
  });
}

const ENABLE = "Look for it with 'docker plugin ls' and start it with 'docker plugin enable'";

/** Why nobody answered, and what to do about it. */
function unreachable(cause: Error, socket: string): CoatError {
  switch (codeOf(cause)) {
    case 'ENOENT':
      return new CoatError('agent-missing', `No coat agent runs on this machine: there is no ${socket}.`, {
        hint: `${ENABLE}; if it listens elsewhere, set COAT_SOCKET.`,
        cause,
      });
    case 'ECONNREFUSED':
      return new CoatError('agent-away', `The coat agent of this machine has stopped: nobody answers at ${socket}.`, { hint: `${ENABLE}.`, cause });
    case 'EACCES':
    case 'EPERM':
      return new CoatError('agent-forbidden', `You may not talk to the coat agent: ${socket} is closed to you.`, {
        hint: 'Use sudo, or an account that may use docker.',
        cause,
      });
    case 'ECONNRESET':
    case 'EPIPE':
      return new CoatError('agent-away', 'The coat agent closed the connection without an answer.', { hint: "See 'docker coat status'.", cause });
    default:
      return new CoatError('agent-away', `The coat agent cannot be reached at ${socket}: ${cause.message}.`, { cause });
  }
}
