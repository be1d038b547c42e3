import { alone } from './claim.ts';
import { killGroup, removeGroup } from './kernel/cgroups.ts';
import { removeUnderlay } from './kernel/underlay.ts';
import { labPlaces } from './places.ts';
import { removeTree } from './tree.ts';

/** Takes a lab down. Waits for whoever is just making it. None is fine. */
export async function takeDown(name: string, tell?: (line: string) => void): Promise<void> {
  await alone(name, { what: `"down" of lab ${name}`, ...(tell && { tell }) }, () => destroy(name));
}

/**
 * Removes whatever there is of a lab, complete or not, record or no record: what exists is found by
 * the lab's name in the kernel and on the disk. Mounts go with the processes that had them.
 * To be called by who has the lab for itself.
 */
export async function destroy(name: string): Promise<void> {
  await killGroup(name);
  await removeUnderlay(name);
  await removeGroup(name);
  await removeTree(labPlaces(name).base);
}
