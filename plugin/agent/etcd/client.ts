import { Agent, type ClientRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreAwayError } from '../../../driver/store/store.ts';
import { post, stream } from './gateway.ts';

/** An election takes a second or two; ms. */
const ELECTION_MS = 4_000;
const PAUSE_MS = 200;

/** Opens a connection to etcd: a unix socket, a tunnel between agents, TLS to an etcd of others. */
export type Connect = () => Promise<Duplex>;

/** The members of an etcd, of which one is spoken to at a time. */
export interface Members {
  /** To the one that is spoken to; if it cannot be reached, to the next that can. */
  connect: Connect;
  /** The present one does not answer: from now on another one. @returns whether there is one */
  moveOn(): boolean;
}

/**
 * Speaks to one member of etcd, over connections that are kept, and goes over to another when that
 * one does not answer. The call in which this is noticed has failed: it may have been done.
 */
export class EtcdClient {
  readonly #members: Members;
  #agent: ConnectingAgent;

  constructor(to: Connect | Members) {
    this.#members = typeof to === 'function' ? { connect: to, moveOn: () => false } : to;
    this.#agent = new ConnectingAgent(this.#members.connect);
  }

  /**
   * The same for what may be asked twice. While there are others to ask, an election among them is waited for.
   *
   * @throws StoreAwayError
   */
  async read(path: string, body: unknown): Promise<unknown> {
    for (const begin = Date.now(); ; await sleep(PAUSE_MS)) {
      const agent = this.#agent;
      try {
        return await this.post(path, body);
      } catch (error) {
        if (agent === this.#agent || Date.now() - begin > ELECTION_MS) throw error;
      }
    }
  }

  /** See {@link post}. */
  post(path: string, body: unknown): Promise<unknown> {
    return this.#noticing((agent) => post(agent, path, body));
  }

  /** See {@link stream}. `broken` is to be called where it ends by itself, since then the member may have no leader any more. */
  async stream(path: string, body: unknown): Promise<{ response: IncomingMessage; request: ClientRequest; broken: () => void }> {
    const agent = this.#agent;
    return { ...(await this.#noticing(() => stream(agent, path, body))), broken: () => this.#leave(agent) };
  }

  close(): void {
    this.#agent.destroy();
  }

  async #noticing<T>(ask: (agent: Agent) => Promise<T>): Promise<T> {
    const agent = this.#agent;
    try {
      return await ask(agent);
    } catch (error) {
      if (error instanceof StoreAwayError) this.#leave(agent);
      throw error;
    }
  }

  /** Ends whatever still waits for that member, too: it would not come to an end otherwise. */
  #leave(agent: ConnectingAgent): void {
    if (agent !== this.#agent || !this.#members.moveOn()) return;
    this.#agent = new ConnectingAgent(this.#members.connect);
    agent.destroy();
  }
}

/** Keeps connections for the next call, and makes new ones with `connect`. */
class ConnectingAgent extends Agent {
  readonly #connect: Connect;

  constructor(connect: Connect) {
    super({ keepAlive: true });
    this.#connect = connect;
  }

  override createConnection(_options: unknown, done?: (error: Error | null, stream: Duplex) => void): undefined {
    this.#connect().then(
      (stream) => done?.(null, stream),
      (error: unknown) => done?.(error as Error, undefined as unknown as Duplex),
    );
  }
}
