import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, explain } from '../../driver/host/errors.ts';
import { findContainer } from '../criu/container.ts';
import { endDump, forgetDump } from '../criu/dump.ts';
import { thaw } from '../criu/freezer.ts';
import { unmountMemory } from '../criu/memory.ts';
import { keepHere } from './claims.ts';
import { departureDirectory, endAtSource } from './departure.ts';
import type { JournalEntry } from './journal.ts';
import { lend } from './lend.ts';
import type { MoverDependencies } from './ports.ts';
import type { Outcome } from './protocol.ts';

const ASK_EVERY_MS = 500;

type SourceEntry = Extract<JournalEntry, { role: 'source' }>;

/**
 * Tells a destination that could not be reached when a move was taken back, so that it keeps nothing of it. Takes as long as the
 * destination is away; the container may move again meanwhile.
 */
export async function tellWithdrawn({ journal, peers, log }: MoverDependencies, entry: SourceEntry): Promise<void> {
  for (; ; await sleep(ASK_EVERY_MS)) {
    try {
      await peers.get(entry.peer).call<Outcome>('/v1/moves/outcome', { id: entry.id });
      await peers.get(entry.peer).call('/v1/moves/finish', { id: entry.id });
      break;
    } catch (error) {
      // it is no member any more, and will not come back as the one it was
      if (codeOf(error) === 'unknown-host') break;
      log.debug({ migration: entry.id, error: explain(error) }, 'a destination has not heard yet that a move was taken back');
    }
  }
  await journal.remove(entry.id);
}

/**
 * Ends a move that an earlier life of this agent began at this source: the destination is asked, as long as it takes,
 * and what it says is done. Where it cannot have committed it is asked too, so that it clears away what it has.
 *
 * @returns whether the container runs there
 */
export async function recoverSource(deps: MoverDependencies, entry: SourceEntry): Promise<Outcome['state']> {
  if (entry.state === 'withdrawn') return tellWithdrawn(deps, entry).then(() => 'aborted');
  const { journal, peers, overlay, containers, host, log } = deps;
  const container = await findContainer(host, entry.containerId).catch(() => undefined);
  const back = async (): Promise<void> => {
    if (container) {
      // CRIU freezes again what it found frozen
      await endDump(host, departureDirectory(entry.id));
      for (const { network, ip } of entry.endpoints) await overlay.uncut(network, ip);
      await forgetDump(host, container);
      await thaw(host, container);
    }
    for (const endpoint of entry.endpoints) await keepHere(deps, endpoint);
    if (entry.restartPolicy) await containers.setRestartPolicy(entry.containerId, entry.restartPolicy);
  };
  const ask = async (): Promise<Outcome['state']> => (await peers.get(entry.peer).call<Outcome>('/v1/moves/outcome', { id: entry.id })).state;

  // what cannot have been committed need not wait for the destination
  if (entry.state === 'moving') await back().catch((error: unknown) => log.warn({ migration: entry.id, error: explain(error) }, 'could not take a move back at once'));
  for (; ; await sleep(ASK_EVERY_MS)) {
    try {
      const state = entry.state === 'left' || entry.state === 'lending' ? 'running' : await ask();
      if (state === 'running' && entry.strategy !== 'cold' && entry.state !== 'left') {
        await journal.write({ ...entry, state: 'lending' });
        const pages = await lend(deps, entry);
        if (pages !== 'whole') log.error({ migration: entry.id, container: entry.container, why: pages }, 'a container that was moved is lost');
      }
      if (state === 'running') await endAtSource(deps, container, { ...entry, name: entry.container });
      else await back();
      await unmountMemory(host, departureDirectory(entry.id));
      await peers.get(entry.peer).call('/v1/moves/finish', { id: entry.id });
      await journal.remove(entry.id);
      log.info({ migration: entry.id, container: entry.container, state }, 'ended a move that was interrupted');
      return state;
    } catch (error) {
      log.debug({ migration: entry.id, error: explain(error) }, 'an interrupted move cannot be ended yet');
    }
  }
}
