import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A Python program that is no child of this process, whose stops Node would take for its end. It begins by saying its process number. */
export class Stranger {
  readonly #shell: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly pid: number;

  private constructor(shell: ChildProcess, lines: AsyncIterator<string>, pid: number) {
    this.#shell = shell;
    this.#lines = lines;
    this.pid = pid;
  }

  static async start(program: string, ...args: readonly string[]): Promise<Stranger> {
    const shell = spawn('sh', ['-c', 'python3 "$0" "$@"; exit', program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: shell.stdout })[Symbol.asyncIterator]();
    return new Stranger(shell, lines, Number(await next(lines)));
  }

  say(text: string): void {
    this.#shell.stdin!.write(text);
  }

  /** The next line it says. @throws Error where it has ended */
  hears(): Promise<string> {
    return next(this.#lines);
  }

  kill(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** Waits until it has ended. */
  async ended(): Promise<void> {
    if (this.#shell.exitCode === null) await once(this.#shell, 'exit');
  }

  /** Ends it, if it has not. */
  async end(): Promise<void> {
    try {
      this.kill('SIGKILL');
    } catch {
      // it has ended itself
    }
    await this.ended();
  }
}

async function next(lines: AsyncIterator<string>): Promise<string> {
  const line = await lines.next();
  if (line.done === true) throw new Error('the program has ended');
  return line.value;
}
