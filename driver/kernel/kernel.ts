import { Netlink } from './netlink.ts';
import { run, type RunOptions, type RunResult } from '../host/run.ts';

/** A way into one network namespace. Everything this directory does to a kernel goes through one. */
export interface Kernel {
  /** Path of that namespace, for programs that are in another one. */
  readonly netns: string;
  /** For what must be quick. Its sockets are in the namespace of this process, so for another one there is none. */
  readonly netlink?: Pick<Netlink, 'open' | 'apply' | 'openHold' | 'exists' | 'createVeth' | 'close'>;
  run(argv: readonly [string, ...string[]], options?: RunOptions): Promise<RunResult>;
}

/** Kernel calls answer in milliseconds; a program that needs longer is stuck. In ms. */
const TIMEOUT_MS = 20_000;

/** @param netns path of a network namespace; by default the one we are in */
export function createKernel(netns?: string): Kernel {
  const netlink = netns === undefined ? { netlink: new Netlink() } : {};
  const prefix = netns === undefined ? [] : ['nsenter', `--net=${netns}`, '--'];
  return {
    ...netlink,
    netns: netns ?? `/proc/${process.pid}/ns/net`,
    run: (argv, options) => run([...prefix, ...argv] as [string, ...string[]], { timeout: TIMEOUT_MS, ...options }),
  };
}

/** Reads what a program of iproute2 lists with `-j`. It prints nothing at all for an empty list. */
export async function list<T>(kernel: Kernel, argv: readonly [string, ...string[]], okCodes = [0]): Promise<T[]> {
  const { stdout } = await kernel.run(argv, { okCodes });
  return stdout.trim() === '' ? [] : (JSON.parse(stdout) as T[]);
}

/**
 * Runs many commands of one program in one process: a spawn costs milliseconds, a command some ten
 * microseconds. A command that fails does not keep the others from running (`-force`, ip(8)).
 *
 * @throws RunError naming the commands that failed
 */
export async function batch(kernel: Kernel, program: 'ip' | 'bridge' | 'tc', lines: readonly string[]): Promise<void> {
  if (lines.length > 0) await kernel.run([program, '-force', '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
