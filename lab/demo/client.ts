import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoatError } from '../../driver/host/errors.ts';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../host.ts';
import { runArgs } from './stage.ts';

/** A line of lab/workload/counter.py. Silences in ms. */
type Line =
  | { end?: never; requests: number; silence: number }
  | { end: true; requests: number; silence: number; longest: number; errors: string[]; accepted: number | null };

/** What the client has to say in the end. */
export interface Verdict {
  requests: number;
  errors: string[];
  /** Connections after the first one, as Redis counts them; unknown when it could not be asked any more. */
  reconnects: number | undefined;
  /** ms */
  longest: number;
}

/** What the client has seen since somebody last asked. */
export interface Seen {
  requests: number;
  /** ms */
  gap: number;
}

/** The Redis client of the demo: a container in which lab/workload/counter.py runs. */
export class Client {
  readonly #host: LabHost;
  readonly #child: ChildProcess;
  #requests = 0;
  #asked = 0;
  #gap = 0;
  #end: Verdict | undefined;
  #complaints = '';

  constructor(host: LabHost, name: string, address: string) {
    this.#host = host;
    const argv = ['docker', ...runArgs(name, ['--rm'], ['python3', '-u', '/share/counter.py', address])];
    this.#child = host.spawn(argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.on('error', (error) => (this.#complaints += error.message));
    this.#child.stderr!.on('data', (chunk: Buffer) => (this.#complaints += chunk.toString()));
    createInterface(this.#child.stdout!).on('line', (line) => this.#hear(JSON.parse(line) as Line));
  }

  /** Waits for its first answers. @throws CoatError `timeout`, `demo-client` */
  async started(signal: AbortSignal): Promise<void> {
    await until('the first answers to the client', () => this.#heard(0), { timeout: 30_000, signal });
    this.seen();
  }

  /** Waits until it has had an answer after now: a silence that is still going on has ended then. */
  async answered(signal: AbortSignal): Promise<void> {
    const before = this.#requests;
    await until('an answer to the client', () => this.#heard(before), { timeout: 60_000, signal });
    // the line that said so may have been on its way already; the next one was not
    await sleep(250, undefined, { signal });
  }

  /** What it has seen since this was last called. */
  seen(): Seen {
    const seen = { requests: this.#requests - this.#asked, gap: this.#gap };
    this.#asked = this.#requests;
    this.#gap = 0;
    return seen;
  }

  /** Ends it and hears what it has to say. @throws CoatError `demo-client` when it says nothing */
  async stop(): Promise<Verdict> {
    const closed = this.#child.exitCode === null ? once(this.#child, 'close', { signal: AbortSignal.timeout(60_000) }) : undefined;
    this.#host.signal(this.#child, 'SIGTERM');
    await closed;
    if (this.#end === undefined) throw this.#silent();
    return this.#end;
  }

  /** True after more than so many answers, and when there will be no more: what went wrong is for the end. */
  #heard(count: number): boolean {
    return this.#child.exitCode !== null || this.#requests > count;
  }

  #silent(): CoatError {
    return new CoatError('demo-client', `the client ended without a word: ${this.#complaints.trim() || `exit code ${this.#child.exitCode}`}`);
  }

  #hear(line: Line): void {
    this.#requests = line.requests;
    this.#gap = Math.max(this.#gap, line.silence);
    if (!line.end) return;
    const { requests, errors, longest, accepted } = line;
    this.#end = { requests, errors, longest, reconnects: accepted === null ? undefined : accepted - 1 };
  }
}
