import { Queue } from '../../driver/host/queue.ts';
import { listFiles } from './files.ts';
import type { LocalDoors } from './local/app.ts';
import { lookAtSetup, registerRuntime, type SetupDependencies, unregisterRuntime } from './setup.ts';

/** The part of the local API that is about this host alone, and so is there before the host belongs to a cluster. */
export function installationDoors(deps: SetupDependencies): Pick<LocalDoors, 'files' | 'setup'> {
  const queue = new Queue();
  return {
    files: () => listFiles(deps),
    setup: ({ act, undo }) => {
      if (!act) return lookAtSetup(deps, undo);
      return queue.run(() => (undo ? unregisterRuntime(deps) : registerRuntime(deps)));
    },
  };
}
