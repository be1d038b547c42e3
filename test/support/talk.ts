import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { PATIENCE_MS } from './hosts.ts';

/** A program on a host that is spoken to line by line, for as long as the test likes. */
export class Talk {
  readonly #host: LabHost;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown[]>;
  #heard = '';
  #errors = '';
  #read = 0;

  constructor(host: LabHost, argv: readonly string[]) {
    this.#host = host;
    this.#child = host.spawn(argv, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#ended = once(this.#child, 'close');
    this.#child.stdout!.on('data', (chunk: Buffer) => (this.#heard += chunk.toString()));
    this.#child.stderr!.on('data', (chunk: Buffer) => (this.#errors += chunk.toString()));
    this.#child.stdin!.on('error', () => undefined);
  }

  /** All it has printed so far. */
  get heard(): string {
    return this.#heard;
  }

  say(line: string): void {
    this.type(`${line}\n`);
  }

  /** Keys, as they are. */
  type(keys: string): void {
    this.#child.stdin!.write(keys);
  }

  /** The next of its lines that is like this one. */
  async hears(line: RegExp): Promise<string> {
    return until(
      `"${line}" in "${this.#heard.slice(this.#read)}${this.#errors}"`,
      () => {
        const found = line.exec(this.#heard.slice(this.#read));
        if (found) this.#read += found.index + found[0].length;
        return found?.[0];
      },
      { timeout: PATIENCE_MS },
    );
  }

  /** Sends a signal to the program itself. */
  signal(signal: NodeJS.Signals): void {
    this.#host.signal(this.#child, signal);
  }

  /** Ends its input, waits for its end. */
  async end(): Promise<{ code: number | null; stdout: string; stderr: string }> {
    this.#child.stdin!.end();
    const [code] = (await this.#ended) as [number | null];
    return { code, stdout: this.#heard, stderr: this.#errors };
  }
}
