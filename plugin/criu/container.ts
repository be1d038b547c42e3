import { readdir, readFile } from 'node:fs/promises';
import { z } from 'zod';
import { CoatError, codeOf } from '../../driver/host/errors.ts';
import type { HostSide } from './host.ts';

/** The part of runc's `state.json` (libcontainer/state_linux.go) that a move needs. */
const RuncState = z.object({
  init_process_pid: z.number().int().positive(),
  cgroup_paths: z.record(z.string(), z.string()),
  config: z.object({ mounts: z.array(z.object({ destination: z.string() })) }),
});

/** A running container as runc on this host knows it. */
export interface RunningContainer {
  id: string;
  /** runc's `--root`, which carries the name Docker has for the runtime. */
  runcRoot: string;
  /** The container's init, as the host counts. */
  pid: number;
  freezer: { version: 1 | 2; path: string };
  /** Whether its first process is Docker's own (`--init`), which the engine mounts into it. */
  init: boolean;
}

const RUNTIMES = '/run/docker';

/** Where the engine mounts its init, whatever is a link on the way to it (moby daemon/oci_linux.go, inContainerInitPath). */
export const DOCKER_INIT = '/sbin/docker-init';

/**
 * Finds a container among those of all of Docker's runtimes (`<exec-root>/runtime-<name>/moby`,
 * moby daemon/runtime_unix.go).
 *
 * @throws CoatError `not-running`
 */
export async function findContainer(host: HostSide, id: string): Promise<RunningContainer> {
  for (const name of await readdir(host.path(RUNTIMES))) {
    if (!name.startsWith('runtime-')) continue;
    const runcRoot = `${RUNTIMES}/${name}/moby`;
    try {
      const state = RuncState.parse(JSON.parse(await readFile(host.path(`${runcRoot}/${id}/state.json`), 'utf8')));
      return {
        id,
        runcRoot,
        pid: state.init_process_pid,
        freezer: freezerOf(state.cgroup_paths),
        init: state.config.mounts.some(({ destination }) => destination === DOCKER_INIT),
      };
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENOTDIR') throw error;
    }
  }
  throw new CoatError('not-running', `runc on this host has no container ${id.slice(0, 12)}`, {
    hint: 'is it run by another runtime than runc? Such containers cannot be moved',
  });
}

/** runc lists one path per controller on cgroup v1, and one under an empty name on v2. */
function freezerOf(paths: Record<string, string>): RunningContainer['freezer'] {
  if (paths['freezer'] !== undefined) return { version: 1, path: paths['freezer'] };
  if (paths[''] !== undefined) return { version: 2, path: paths[''] };
  throw new CoatError('no-freezer', 'the container has no freezer cgroup', { hint: 'the kernel needs CONFIG_CGROUP_FREEZER' });
}
