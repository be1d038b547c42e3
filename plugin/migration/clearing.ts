import { Arrival } from './arrival.ts';
import type { DestinationEntry } from './journal.ts';
import { giveUp } from './lodging.ts';
import type { MoverDependencies } from './ports.ts';
import { RUNTIME } from './spec.ts';

/**
 * Takes away all that a move which was taken back has brought to this host. May be asked again.
 *
 * @param arrival what this life of the agent has of it
 * @param known ids of containers of other moves
 * @throws where something is still there
 */
export async function clearAway(deps: MoverDependencies, entry: DestinationEntry, arrival: Arrival | undefined, known: ReadonlySet<string>, why: string): Promise<void> {
  const containerId = entry.containerId ?? (arrival ? undefined : await unnoted(deps, entry.container, known));
  const stranded = arrival ?? (containerId === undefined ? undefined : strandedArrival(deps, entry, containerId));
  if (stranded) await stranded.abandon(why);
  else for (const { network, ip } of entry.endpoints) await deps.overlay.forget(network, ip);
  await giveUp(deps, entry.volumes);
}

/** An arrival of an earlier life of this agent: enough of it to clear it away. */
function strandedArrival(deps: MoverDependencies, entry: DestinationEntry, containerId: string): Arrival {
  const blank = { name: '', prefixLength: 0, mac: '', interfaceName: '' };
  return new Arrival(deps, { ...entry, source: entry.peer, memory: 0, carried: 0, volumes: [], strategy: 'cold', image: { id: '', ref: '', content: '', layers: [], digests: [], created: 0 }, body: {}, init: false, endpoints: entry.endpoints.map((endpoint) => ({ ...blank, ...endpoint })) }, containerId);
}

/** A container that the engine had made when nobody could write down its id any more. One of a user's has another runtime, or has been started. */
async function unnoted({ containers }: MoverDependencies, name: string, known: ReadonlySet<string>): Promise<string | undefined> {
  const inspect = await containers.inspect(name);
  return inspect?.State.Status === 'created' && inspect.HostConfig.Runtime === RUNTIME && !known.has(inspect.Id) ? inspect.Id : undefined;
}
