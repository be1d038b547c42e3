import { once } from 'node:events';
import type { ChildProcess } from 'node:child_process';
import { CoatError } from '../driver/host/errors.ts';
import { until } from '../driver/host/until.ts';
import { runArgs } from '../lab/demo/stage.ts';
import type { LabHost } from '../lab/host.ts';
import type { Gap } from './statistics.ts';

/** What lab/workload/pulse.py prints in the end. */
interface Printed {
  requests: number;
  alive: number;
  errors: string[];
  longest: number;
  gaps: { at: number; ms: number }[];
  timeouts: number;
}

export interface Seen extends Omit<Printed, 'gaps'> {
  /** Silences of more than 20 ms, over all connections. */
  gaps: Gap[];
}

/** The client: a container in which lab/workload/pulse.py asks an echo server at 1 kHz and checks every byte. */
export class Pulse {
  readonly #host: LabHost;
  readonly #child: ChildProcess;
  #printed = '';
  #complaints = '';

  private constructor(host: LabHost, name: string, address: string) {
    this.#host = host;
    this.#child = host.spawn(['docker', ...runArgs(name, ['--rm'], ['python3', '-u', '/share/pulse.py', address])], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout!.on('data', (chunk: Buffer) => (this.#printed += chunk.toString()));
    this.#child.stderr!.on('data', (chunk: Buffer) => (this.#complaints += chunk.toString()));
  }

  /** Starts it and waits until it is connected. */
  static async start(host: LabHost, name: string, address: string, signal: AbortSignal): Promise<Pulse> {
    const pulse = new Pulse(host, name, address);
    await until('the client to connect', () => pulse.#child.exitCode !== null || pulse.#printed.includes('connected'), { timeout: 30_000, signal });
    return pulse;
  }

  /** Ends it and hears what it has seen. @throws CoatError `bench-client` */
  async stop(): Promise<Seen> {
    const closed = this.#child.exitCode === null ? once(this.#child, 'close', { signal: AbortSignal.timeout(180_000) }) : undefined;
    this.#host.signal(this.#child, 'SIGTERM');
    await closed;
    const line = this.#printed.split('\n').findLast((text) => text.startsWith('{'));
    if (line === undefined) throw new CoatError('bench-client', `the client ended without a word: ${this.#complaints.trim()}`);
    const printed = JSON.parse(line) as Printed;
    return { ...printed, gaps: printed.gaps.map(({ at, ms }) => ({ at: at * 1000, ms })) };
  }
}
