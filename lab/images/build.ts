import { run, type RunOptions, type RunResult } from '../../driver/host/run.ts';
import type { HostCgroups } from '../kernel/cgroups.ts';

/** Told what is being done, when it takes long enough to be wondered about. */
export type Tell = (line: string) => void;

/** What everything that is built gets from whoever wants it built. */
export interface Build {
  tell: Tell;
  signal?: AbortSignal | undefined;
  /** Runs a program to its end; it dies with us, and what it leaves running is found by the lab's cgroups. */
  run(argv: readonly string[], options?: RunOptions): Promise<RunResult>;
}

/** @param cgroups of the host for which, or in whose name, something is built */
export function buildIn(cgroups: HostCgroups, tell: Tell, signal?: AbortSignal): Build {
  const join = [...cgroups.v1, `${cgroups.v2}/boot`].map((group) => `echo 0 > ${group}/cgroup.procs`).join('\n');
  const script = `set -e\n${join}\nexec "$@"`;
  return {
    tell,
    signal,
    run: (argv, options) => run(['setpriv', '--pdeathsig', 'KILL', 'sh', '-c', script, 'coat-lab', ...argv], { ...options, ...(signal && { signal }) }),
  };
}
