import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { run } from '../../driver/host/run.ts';
import { createKernel, type Kernel } from '../../driver/kernel/kernel.ts';

/** A network namespace of a test, removed with everything in it when the test is over. */
export class Netns implements AsyncDisposable {
  readonly name: string;
  readonly path: string;
  readonly kernel: Kernel;
  readonly #children: ChildProcess[] = [];

  private constructor(name: string) {
    this.name = name;
    this.path = `/run/netns/${name}`;
    this.kernel = createKernel(this.path);
  }

  static async create(hint: string): Promise<Netns> {
    const netns = new Netns(`coat-t-${hint}-${randomBytes(3).toString('hex')}`);
    await run(['ip', 'netns', 'add', netns.name]);
    await netns.run('ip', 'link', 'set', 'lo', 'up');
    return netns;
  }

  /** Another name for a namespace that exists. */
  static async alias(of: string): Promise<Netns> {
    const netns = new Netns(`coat-t-alias-${randomBytes(3).toString('hex')}`);
    await writeFile(netns.path, '');
    await run(['mount', '--bind', of, netns.path]);
    return netns;
  }

  /** What to put before a program to run it in here. */
  enter(): string[] {
    return ['nsenter', `--net=${this.path}`, '--'];
  }

  async run(...argv: [string, ...string[]]): Promise<string> {
    return (await this.kernel.run(argv)).stdout;
  }

  /** Starts a piece of JavaScript in here and waits for the first line it prints. It ends with the namespace. */
  async start(script: string, ...args: string[]): Promise<void> {
    const [file, ...rest] = [...this.enter(), process.execPath, '-e', script, ...args] as [string, ...string[]];
    const child = spawn(file, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#children.push(child);
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve());
      child.once('exit', (code) => reject(new Error(`the script ended with ${code} before it was ready`)));
    });
  }

  /** Runs a piece of JavaScript in here to its end and returns what it printed, as JSON. */
  async eval<T>(script: string, ...args: (string | number)[]): Promise<T> {
    return JSON.parse(await this.run(process.execPath, '-e', script, ...args.map(String))) as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    await run(['ip', 'netns', 'del', this.name], { okCodes: [0, 1] });
  }
}
