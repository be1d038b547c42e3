import { existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, explain } from '../../driver/host/errors.ts';
import { giveUpPages, pagerAlive, pagesHere, pagerSocket, pagesOutcome } from '../pager/control.ts';
import { processes } from '../criu/freezer.ts';
import { findContainer } from '../criu/container.ts';
import type { Peer } from '../agent/peer.ts';
import type { MoverDependencies } from './ports.ts';
import type { Lending, Outcome } from './protocol.ts';

/** Between two tries to reach the source, ms. */
const AGAIN_MS = 200;
/**
 * For how long a source may be away until the container is given up, ms. Its agent is back within seconds when it died; a host
 * that starts again has lost the memory and says so.
 */
const AWAY_MS = 60_000;

export interface Fetched {
  id: string;
  source: string;
  containerId: string;
  /** Of its restore, on the host. */
  directory: string;
  /** A connection to the source that is there already. */
  way?: Promise<Duplex> | undefined;
}

export type PagesOutcome = Exclude<Outcome['pages'], 'fetching' | 'here' | undefined>;

/**
 * Brings together the pager of a container that runs here already and the source that has its memory, again and again, until all
 * of it is here. The pager keeps what it knows when this agent dies; it is found again then.
 */
export async function fetchPages(deps: MoverDependencies, fetched: Fetched): Promise<PagesOutcome> {
  const { host, peers, log } = deps;
  const { directory, source, id } = fetched;
  const way = await fetched.way?.catch(() => undefined);
  if (way && !way.destroyed) await join(peers.get(source), way, connect(pagerSocket(host, directory)));
  for (let seen = Date.now(); ; await sleep(AGAIN_MS)) {
    const outcome = await pagesOutcome(host, directory);
    if (outcome !== undefined) return outcome as PagesOutcome;
    if (!pagerAlive(host, directory)) return (await pagesOutcome(host, directory)) as PagesOutcome | undefined ?? (await died(deps, fetched));
    // what is on this host already needs nobody else
    if (pagesHere(host, directory)) continue;
    try {
      const peer = peers.get(source);
      const { state } = await peer.call<Lending>('/v1/moves/lends', { id }, { timeout: 5_000 });
      seen = Date.now();
      if (state === 'gone') await giveUpPages(host, directory, `${source} does not have its memory any more`);
      if (state === 'here') await join(peer, await peer.tunnel(`/v1/moves/pages?id=${id}`), connect(pagerSocket(host, directory)));
    } catch (error) {
      log.warn({ migration: id, error: explain(error) }, 'memory of a container cannot be fetched at the moment');
      if (codeOf(error) === 'unknown-host') await giveUpPages(host, directory, `${source} was taken out of the cluster`);
      else if (Date.now() - seen > AWAY_MS) await giveUpPages(host, directory, `${source} has been away for ${AWAY_MS / 1000} s`);
    }
  }
}

/** Lets bytes through in both directions until one side ends. */
async function join(peer: Peer, way: Duplex, pager: Socket): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    for (const side of [way, pager]) side.on('error', () => undefined).once('close', resolve).once('end', resolve);
  });
  // a source that lost its power ends nothing
  const stop = peer.watch(way);
  way.pipe(pager);
  pager.pipe(way);
  await ended;
  stop();
  way.destroy();
  pager.destroy();
}

/** The pager has ended without a word, and CRIU with it: from now on missing memory would be zeroes. */
async function died({ host }: MoverDependencies, { containerId, directory }: Fetched): Promise<PagesOutcome> {
  // the host's memory knows of nothing: what has this id now began anew
  if (!existsSync(host.path(directory))) return 'lost its host was started again before it was there';
  const container = await findContainer(host, containerId).catch(() => undefined);
  for (const pid of container ? await processes(host, container) : []) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // it has ended
    }
  }
  return 'lost what fetched its memory has died';
}
