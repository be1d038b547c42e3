import { explain } from '../../driver/host/errors.ts';
import { until } from '../../driver/host/until.ts';
import { kill } from '../criu/ending.ts';
import { processes, thaw } from '../criu/freezer.ts';
import type { Containers, Inspect } from '../engine/containers.ts';
import { findLog } from './log/place.ts';
import { sendRestOfLog } from './log/send.ts';
import type { SourceEntry } from './journal.ts';
import type { Plan } from './plan.ts';
import type { MoverDependencies } from './ports.ts';
import { nameOf } from './preflight.ts';

/** How long a container that was sent a signal may take to end once it is thawed, ms; `docker stop` waits for 10 s. */
const ENDED_MS = 15_000;

/** Waits until the engine knows that a container has ended. @returns what it says of it; nothing where it has it no more. @throws CoatError `timeout` */
export async function ended(containers: Containers, id: string): Promise<Inspect | undefined> {
  const { found } = await until('the engine to know that it has ended', async () => {
    const found = await containers.inspect(id);
    return found?.State.Running ? undefined : { found };
  }, { timeout: ENDED_MS, every: 10 });
  return found;
}

/**
 * Ends the container at the source once it runs elsewhere. Its processes are killed while they are frozen and die as they
 * thaw, without running another instruction; its endpoint is cut, so no peer hears of their sockets' end.
 * Volumes that were copied go with it: two that change apart would be worse than one. What it has logged last follows it before.
 *
 * @returns what does not go as it should, a sentence each
 */
export async function endAtSource(deps: MoverDependencies, container: Plan['container'] | undefined, entry: Ended): Promise<string[]> {
  const { host, containers, volumes: engine, self } = deps;
  const { containerId, container: name, id, keep, volumes } = entry;
  if (container) {
    for (const pid of await processes(host, container)) kill(pid);
    await thaw(host, container);
  }
  const complaints = await restOfLog(deps, entry);
  if (keep) {
    const kept = `${name}.moved-${id.slice(0, 8)}`;
    const inspect = await containers.inspect(containerId);
    if (inspect && nameOf(inspect) !== kept) await containers.rename(containerId, kept);
    return complaints;
  }
  await containers.remove(containerId);
  const gone = await Promise.all(volumes.map((volume) => engine.remove(volume)));
  const stay = volumes.filter((_, i) => !gone[i]);
  return [...complaints, ...stay.map((volume) => `the volume ${volume} stays on ${self} too, as another container has got it meanwhile`)];
}

type Ended = Pick<SourceEntry, 'containerId' | 'container' | 'id' | 'peer' | 'keep' | 'volumes' | 'log'>;

/** Sends what a container that was killed has logged since the first of it was sent. The log is no reason to keep the container here. */
async function restOfLog({ host, containers, peers }: MoverDependencies, { containerId, container, id, peer, log }: Ended): Promise<string[]> {
  if (log === undefined) return [];
  try {
    // by then the engine has written and closed it (moby daemon/monitor.go, handleContainerExit)
    const inspect = await ended(containers, containerId);
    const place = inspect && (await findLog(containers, inspect));
    const lost = place === undefined ? 0 : await sendRestOfLog(host, place, log, peers.get(peer), id);
    return lost === 0 ? [] : [`the last ${lost} bytes of the log of ${container} are lost: more was logged during the move than there was room for`];
  } catch (error) {
    return [`the last of the log of ${container} is lost: ${explain(error)}`];
  }
}
