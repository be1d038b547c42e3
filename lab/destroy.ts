import { run } from '../driver/host/run.ts';
import { killGroup, removeGroup } from './kernel/cgroups.ts';
import { removeUnderlay } from './kernel/underlay.ts';
import { labPlaces } from './places.ts';

/**
 * Removes whatever there is of a lab, complete or not, record or no record: what exists is found by
 * the lab's name in the kernel and on the disk. Mounts go with the processes that had them.
 */
export async function destroy(name: string): Promise<void> {
  await killGroup(name);
  await removeUnderlay(name);
  await removeGroup(name);
  await run(['rm', '--recursive', '--force', labPlaces(name).base]);
}
