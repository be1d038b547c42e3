import { CoatError } from '../../../driver/host/errors.ts';
import type { EngineNetworks } from '../../engine/networks.ts';
import type { NetworkDetails } from '../api.ts';

/** How many containers a refusal names. */
const NAMED = 3;

/**
 * Removes a network from all hosts, by name or subnet, where no container of any host is on it. `docker network rm` looks at its own host alone, and what a plugin says about it
 * is only logged (moby libnetwork/network.go, deleteNetwork); of a network in use the others have it made again.
 *
 * @throws CoatError `no-network`, `network-in-use`, before anything is touched
 */
export async function removeAsked(engine: EngineNetworks, networks: readonly NetworkDetails[], wanted: string): Promise<void> {
  const network = networks.find(({ name, subnet }) => name === wanted || subnet === wanted);
  const here = network && (await engine.list()).find(({ ours, subnet }) => ours && subnet === network.subnet);
  if (!network || !here) throw new CoatError('no-network', `there is no coat network ${wanted} on this host`, { hint: "see 'docker coat network ls'; networks of other drivers are docker's own to remove" });
  const users = network.endpoints.map(({ container, ip, host }) => `${container ?? ip} on ${host}`);
  const more = users.length > NAMED ? ` and ${users.length - NAMED} more` : '';
  if (users.length > 0) throw new CoatError('network-in-use', `the network ${wanted} is in use by ${users.slice(0, NAMED).join(', ')}${more}`, { hint: 'remove them, or docker network disconnect them, first' });
  await engine.remove(here.id);
}

/** Takes all networks of ours off an engine. @param failed told of each that stays, and of an engine that does not answer */
export async function removeNetworks(engine: EngineNetworks, failed: (error: unknown) => void): Promise<void> {
  try {
    for (const { id, ours } of await engine.list()) if (ours) await engine.remove(id).catch(failed);
  } catch (error) {
    failed(error);
  }
}
