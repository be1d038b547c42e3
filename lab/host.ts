import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { CoatError } from '../driver/host/errors.ts';
import { run, type RunOptions, type RunResult } from '../driver/host/run.ts';
import type { HostCgroups } from './kernel/cgroups.ts';
import { enterArgv } from './kernel/enter.ts';
import { initOf } from './kernel/init.ts';
import { address6, type Engine, type HostSpec } from './spec.ts';

/** One host of a lab, running or not. */
export class LabHost {
  readonly name: string;
  /** Underlay address. */
  readonly address: string;
  /** The same in IPv6. */
  readonly address6: string;
  readonly engine: Engine;
  readonly #lab: string;
  readonly #cgroups: HostCgroups;
  readonly #joins: string[];

  constructor(lab: string, spec: HostSpec, cgroups: HostCgroups) {
    this.name = spec.name;
    this.address = spec.address;
    this.address6 = address6(spec.address);
    this.engine = spec.engine;
    this.#lab = lab;
    this.#cgroups = cgroups;
    this.#joins = [...cgroups.v1.map((group) => `${group}/tasks`), `${cgroups.v2}/init/cgroup.procs`];
  }

  /** False after `kill`, until `start`. */
  get running(): boolean {
    return initOf(this.#cgroups.v2) !== undefined;
  }

  /**
   * Process number of its init, seen from outside.
   *
   * @throws CoatError `host-down`
   */
  get pid(): number {
    const pid = initOf(this.#cgroups.v2);
    if (pid !== undefined) return pid;
    throw new CoatError('host-down', `host ${this.name} of lab ${this.#lab} is not running`, { hint: `start it: npm run lab -- start ${this.name}` });
  }

  /** Its root directory, as a path usable from outside while it runs. */
  get root(): string {
    return `/proc/${this.pid}/root`;
  }

  /** The argument list that, started from outside, runs `argv` inside. */
  command(argv: readonly string[]): [string, ...string[]] {
    return enterArgv(this.pid, this.#joins, argv);
  }

  /** Runs a program inside to its end. */
  exec(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run(this.command(argv), options);
  }

  /** Starts a program inside. Ending the child with any signal kills the program. */
  spawn(argv: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const [file, ...args] = this.command(argv);
    return spawn(file, args, options);
  }

  /**
   * Sends a signal to the program itself that {@link spawn} started, not to what waits for it outside.
   * Does nothing when the program has ended.
   */
  signal(child: ChildProcess, signal: NodeJS.Signals): void {
    for (const pid of childrenOf(child.pid)) process.kill(pid, signal);
  }
}

function childrenOf(pid: number | undefined): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').map(Number).filter((child) => child > 0);
  } catch {
    return [];
  }
}
