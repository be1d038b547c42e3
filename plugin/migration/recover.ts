import { codeOf, explain } from '../../driver/host/errors.ts';
import { insist } from '../../driver/host/insist.ts';
import { findContainer } from '../criu/container.ts';
import { endDump, forgetDump } from '../criu/dump.ts';
import { thaw } from '../criu/freezer.ts';
import { unmountMemory } from '../criu/memory.ts';
import { keepHere } from './claims.ts';
import type { SourceEntry } from './journal.ts';
import { endAtSource } from './leaving.ts';
import { lend } from './lend.ts';
import { departureDirectory } from './places.ts';
import type { MoverDependencies } from './ports.ts';
import type { Outcome } from './protocol.ts';

const ASK_EVERY_MS = 500;
/** Policies by which an engine that begins anew starts a container again (docker-run(1), `--restart`). */
const RESTARTED_WITH_ENGINE: readonly (string | undefined)[] = ['always', 'unless-stopped'];

/**
 * Sees to the end of a move whose container goes on here: the records and the engine say so again, and the destination keeps nothing of it.
 * Takes as long as the store, the engine or the destination is away. The container may move again as soon as this host is done with it.
 */
export async function seeWithdrawn(deps: MoverDependencies, entry: SourceEntry): Promise<void> {
  const { journal, peers } = deps;
  if (entry.state !== 'withdrawn') {
    await tryOn(deps, entry, async () => {
      await putBack(deps, entry);
      await unmountMemory(deps.host, departureDirectory(entry.id));
      await journal.write({ ...entry, state: 'withdrawn' });
    });
  }
  await tryOn(deps, entry, async () => {
    try {
      await peers.get(entry.peer).call<Outcome>('/v1/moves/outcome', { id: entry.id });
      await peers.get(entry.peer).call('/v1/moves/finish', { id: entry.id });
    } catch (error) {
      // it is no member any more, and will not come back as the one it was
      if (codeOf(error) !== 'unknown-host') throw error;
    }
  });
  await journal.remove(entry.id);
}

/** Records and engine are as they were before the move: of the two one may be away, and the other does not wait for it. */
async function putBack(deps: MoverDependencies, { endpoints, containerId, restartPolicy }: SourceEntry): Promise<void> {
  const work = [policyBack(deps, containerId, restartPolicy), ...endpoints.map((endpoint) => keepHere(deps, endpoint))];
  await Promise.allSettled(work);
  await Promise.all(work);
}

async function policyBack({ containers }: MoverDependencies, containerId: string, restartPolicy: SourceEntry['restartPolicy']): Promise<void> {
  if (!restartPolicy) return;
  const inspect = await containers.inspect(containerId);
  if (inspect === undefined) return;
  const aside = ['', 'no', undefined].includes(inspect.HostConfig.RestartPolicy.Name);
  await containers.setRestartPolicy(containerId, restartPolicy);
  // an engine that began anew meanwhile would have started it, had its policy been there
  if (aside && !inspect.State.Running && RESTARTED_WITH_ENGINE.includes(restartPolicy.Name)) await containers.start(containerId);
}

/**
 * Ends a move that an earlier life of this agent began at this source. Where the destination cannot have committed the container goes on at
 * once; otherwise the destination is asked, as long as it takes, and what it says is done.
 *
 * @param known told whether the container runs there, as soon as that is sure
 */
export async function recoverSource(deps: MoverDependencies, entry: SourceEntry, known: (state: Outcome['state']) => Promise<unknown> = async () => undefined): Promise<void> {
  const { journal, peers, overlay, host, log } = deps;
  const container = await findContainer(host, entry.containerId).catch(() => undefined);
  const goOn = async (): Promise<void> => {
    if (container) {
      // CRIU freezes again what it found frozen
      await endDump(host, container, departureDirectory(entry.id));
      for (const { network, ip } of entry.endpoints) await overlay.uncut(network, ip);
      await forgetDump(host, container);
      await thaw(host, container);
    }
    await journal.write({ ...entry, state: 'withdrawing' });
  };
  const ask = async (): Promise<Outcome['state']> => (await peers.get(entry.peer).call<Outcome>('/v1/moves/outcome', { id: entry.id })).state;

  const state = await tryOn(deps, entry, async (): Promise<Outcome['state']> => {
    if (entry.state === 'left' || entry.state === 'lending') return 'running';
    if (entry.state === 'doubt' && (await ask()) === 'running') return 'running';
    if (entry.state === 'moving' || entry.state === 'doubt') await goOn();
    return 'aborted';
  });
  await known(state);
  if (state === 'aborted') await seeWithdrawn(deps, entry.state === 'withdrawn' ? entry : { ...entry, state: 'withdrawing' });
  else {
    await tryOn(deps, entry, async () => {
      if (entry.strategy !== 'cold' && entry.state !== 'left') {
        await journal.write({ ...entry, state: 'lending' });
        const pages = await lend(deps, entry);
        if (pages !== 'whole') log.error({ migration: entry.id, container: entry.container, why: pages }, 'a container that was moved is lost');
      }
      for (const complaint of await endAtSource(deps, container, entry)) log.warn({ migration: entry.id, complaint }, 'a container that was moved has not left as it should');
      await unmountMemory(host, departureDirectory(entry.id));
      await peers.get(entry.peer).call('/v1/moves/finish', { id: entry.id });
      await journal.remove(entry.id);
    });
  }
  log.info({ migration: entry.id, container: entry.container, state }, 'ended a move that was interrupted');
}

function tryOn<T>({ log }: MoverDependencies, { id }: SourceEntry, work: () => Promise<T>): Promise<T> {
  return insist(work, { every: ASK_EVERY_MS, failed: (error) => log.debug({ migration: id, error: explain(error) }, 'an interrupted move cannot be ended yet') });
}
