import { spawn, type StdioOptions } from 'node:child_process';
import { CoatError } from './errors.ts';

/** How long a program may go on after SIGTERM before it gets SIGKILL, in ms. */
const KILL_AFTER_MS = 5_000;

export interface RunOptions {
  /** Written to the program's standard input, now or when it is known, which is then closed. Without it, stdin is empty. */
  input?: string | Buffer | Promise<string>;
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  signal?: AbortSignal;
  /** In ms; the program is ended as by `signal`. */
  timeout?: number;
  /** Exit codes that are not an error (default: only 0). */
  okCodes?: readonly number[];
}

export interface RunResult {
  stdout: string;
  stderr: string;
  code: number;
}

/** A program that could not be started, or ended otherwise than it should. */
export class RunError extends CoatError {
  readonly argv: readonly string[];
  /** Exit code, or `null` when a signal ended the program or it never started. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;

  constructor(argv: readonly string[], why: string, result: { code: number | null; stdout: string; stderr: string }, cause?: unknown) {
    const tail = result.stderr.trim() || result.stdout.trim().split('\n').slice(-3).join('\n');
    super('program-failed', `${argv.join(' ').slice(0, 200)}: ${why}${tail ? `: ${tail.slice(-2000)}` : ''}`, { cause });
    this.argv = argv;
    this.exitCode = result.code;
    this.stdout = result.stdout;
    this.stderr = result.stderr;
  }
}

/**
 * Runs a program to its end and returns what it printed. The one place that spawns programs whose
 * output matters: an argument list, no shell, and only the exit code decides about success.
 *
 * @throws {@link RunError}
 */
export function run(argv: readonly [string, ...string[]], options: RunOptions = {}): Promise<RunResult> {
  const [file, ...args] = argv;
  return new Promise((resolve, reject) => {
    const stdio: StdioOptions = [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'];
    const child = spawn(file, args, { stdio, cwd: options.cwd, env: options.env ?? process.env });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let why: string | undefined;
    let killer: NodeJS.Timeout | undefined;

    const end = (reason: string): void => {
      why ??= reason;
      child.kill('SIGTERM');
      killer ??= setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
    };
    const aborted = (): void => end('cancelled');
    const timer = options.timeout === undefined ? undefined : setTimeout(() => end(`no end after ${options.timeout} ms`), options.timeout);
    if (options.signal?.aborted) aborted();
    options.signal?.addEventListener('abort', aborted, { once: true });

    const settle = (): void => {
      clearTimeout(timer);
      clearTimeout(killer);
      options.signal?.removeEventListener('abort', aborted);
    };
    child.stdout!.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr!.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin?.on('error', () => {
      // a program that ends without reading its input says so with its exit code
    });
    if (options.input instanceof Promise) options.input.then((input) => child.stdin?.end(input), () => child.stdin?.end());
    else child.stdin?.end(options.input);
    child.on('error', (cause) => {
      settle();
      reject(new RunError(argv, `could not be started: ${cause.message}`, { code: null, stdout: '', stderr: '' }, cause));
    });
    child.on('close', (code, signal) => {
      settle();
      const result = { code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
      if (why === undefined && code !== null && (options.okCodes ?? [0]).includes(code)) resolve({ ...result, code });
      else reject(new RunError(argv, why ?? (signal ? `ended by ${signal}` : `exit code ${code}`), result));
    });
  });
}
