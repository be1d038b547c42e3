import { once } from 'node:events';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { CoatError } from '../../driver/host/errors.ts';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import type { Gap } from '../statistics.ts';

const IMAGE = 'coat-lab/workloads';

export interface ClientOptions {
  host: LabHost;
  /** Of its container. */
  name: string;
  /** The options of `docker run` that put it on a network. */
  network: readonly string[];
  /** Of the server, and what else programs/client.py takes. */
  argv: readonly string[];
  signal: AbortSignal;
}

/** The client of bench/programs/client.py, in a container. It makes lost connections again, and counts them. */
export class Client {
  /** Silences of each connection; `at` is when one ended. */
  readonly gaps: (Gap & { connection: number })[] = [];
  /** A connection may be lost more than once. */
  readonly lost: { connection: number; why: string }[] = [];
  readonly #host: LabHost;
  readonly #child: ChildProcess;
  #connected = false;
  #answered: number[] | undefined;
  #complaints = '';

  private constructor({ host, name, network, argv }: ClientOptions) {
    this.#host = host;
    this.#child = host.spawn(['docker', 'run', '--rm', '--name', name, ...network, '--volume', '/share:/share', IMAGE, 'python3', '-u', '/share/bench/client.py', ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stderr!.on('data', (chunk: Buffer) => (this.#complaints += chunk.toString()));
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.#hear(line));
  }

  /** Starts it and waits until all its connections are made. @throws CoatError `bench-client` */
  static async start(options: ClientOptions): Promise<Client> {
    const client = new Client(options);
    await until('the client to connect', () => client.#child.exitCode !== null || client.#connected, { timeout: 90_000, signal: options.signal });
    if (!client.#connected) throw new CoatError('bench-client', `the client could not connect: ${client.#complaints.trim().split('\n').at(-1) ?? ''}`);
    return client;
  }

  /** How many requests of each connection have been answered. */
  async answered(signal: AbortSignal): Promise<number[]> {
    this.#answered = undefined;
    this.#host.signal(this.#child, 'SIGUSR1');
    return until('the client to say what was answered', () => this.#answered, { timeout: 60_000, signal });
  }

  /** Waits until every connection has had an answer to something that was asked after this call. */
  async heardAgain(timeout: number, signal: AbortSignal): Promise<void> {
    const before = await this.answered(signal);
    // the first answer that comes may be to an older request
    await until('the client to be answered again', async () => (await this.answered(signal)).every((count, connection) => count > before[connection]! + 1), { timeout, every: 100, signal });
  }

  async stop(): Promise<void> {
    const closed = this.#child.exitCode === null ? once(this.#child, 'close', { signal: AbortSignal.timeout(60_000) }) : undefined;
    this.#host.signal(this.#child, 'SIGTERM');
    await closed;
  }

  #hear(line: string): void {
    const [word, ...rest] = line.split(' ');
    if (word === 'connected') this.#connected = true;
    else if (word === 'gap') this.gaps.push({ at: Number(rest[0]) * 1000, ms: Number(rest[1]), connection: Number(rest[2]) });
    else if (word === 'lost') this.lost.push({ connection: Number(rest[0]), why: rest.slice(1).join(' ') });
    else if (word === 'answered') this.#answered = rest.map(Number);
  }
}
