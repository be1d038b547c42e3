import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { run, type RunOptions, type RunResult } from '../../driver/host/run.ts';

/**
 * The machine around the plugin. The plugin shares the host's pid and network namespaces but has a root file
 * system of its own: files of the host are reached through pid 1's root, programs of the host (runc, criu)
 * are started in pid 1's mount namespace.
 */
export interface HostSide {
  /** Where a path of the host is for this process. */
  path(hostPath: string): string;
  run(argv: readonly [string, ...string[]], options?: RunOptions & { netns?: string }): Promise<RunResult>;
  spawn(argv: readonly [string, ...string[]], options: SpawnOptions & { netns?: string }): ChildProcess;
}

export function createHostSide(root: string): HostSide {
  const path = (hostPath: string): string => root + hostPath;
  // nsenter opens the namespace files before it enters any: `netns` is a path of the host all the same
  const enter = (argv: readonly string[], netns?: string): [string, ...string[]] => [
    'nsenter',
    '--target=1',
    '--mount',
    ...(netns === undefined ? [] : [`--net=${path(netns)}`]),
    '--',
    ...argv,
  ];
  return {
    path,
    run: (argv, { netns, ...options } = {}) => run(enter(argv, netns), options),
    spawn: (argv, { netns, ...options }) => {
      const [file, ...args] = enter(argv, netns);
      return spawn(file, args, options);
    },
  };
}
