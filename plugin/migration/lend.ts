import { closeSync, openSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, explain } from '../../driver/host/errors.ts';
import { until } from '../../driver/host/until.ts';
import { findContainer, type RunningContainer } from '../criu/container.ts';
import { isFrozen, processes } from '../criu/freezer.ts';
import { innerPid } from '../criu/pids.ts';
import { readMemory } from '../memory/read.ts';
import { HEAD, Messages, MOST_PAGES, decodeHead, encodeHead } from '../transfer/pages.ts';
import { PAGE } from '../memory/page.ts';
import type { PeerRoutes } from '../agent/peer.ts';
import type { PagesOutcome } from './fetch.ts';
import type { SourceEntry } from './journal.ts';
import type { MoverDependencies } from './ports.ts';
import { type Lending, type Outcome, parse, Reference } from './protocol.ts';

/** How often a destination is asked whether it has everything, ms. */
const ASK_EVERY_MS = 100;
/** How long CRIU may take to let go of the processes once its images are whole, ms; shorter than who asks waits. */
const STILL_MS = 3_000;

type Lender = Pick<MoverDependencies, 'host' | 'journal' | 'log'>;

/**
 * Gives out memory of containers that run elsewhere already, out of their processes that stand still here. Nothing is kept but
 * what the journal says, so that it goes on after the agent was restarted.
 */
export class Lenders {
  readonly #deps: Lender;
  readonly #bytes = new Map<string, number>();
  /** Moves that are under way: what is told when their memory can be given out, or never will be. */
  readonly #coming = new Map<string, { can: Promise<boolean>; tell: (can: boolean) => void }>();

  constructor(deps: Lender) {
    this.#deps = deps;
  }

  register(routes: PeerRoutes): void {
    routes.call('/v1/moves/lends', async (body, from): Promise<Lending> => {
      const { id } = parse(Reference, body);
      return { state: (await this.#memories(id, from)) ? 'here' : 'gone' };
    });
    routes.tunnel('/v1/moves/pages', (way, query, from) => {
      void this.#lend(way, query.get('id') ?? '', from).catch((error: unknown) => {
        this.#deps.log.warn({ migration: query.get('id'), error: explain(error) }, 'could not give out memory');
        way.destroy();
      });
    });
  }

  /** Connections for the memory of a container may be made now; they wait for {@link Lenders.ready}. A handshake in the blackout would be part of it. */
  expect(id: string): void {
    let tell: (can: boolean) => void = () => undefined;
    const can = new Promise<boolean>((resolve) => (tell = resolve));
    this.#coming.set(id, { can, tell });
  }

  /** Its processes stand still, and CRIU has done with them. */
  ready(id: string): void {
    this.#coming.get(id)?.tell(true);
  }

  /** How much has been given out since this agent began. */
  lent(id: string): number {
    return this.#bytes.get(id) ?? 0;
  }

  forget(id: string): void {
    this.#coming.get(id)?.tell(false);
    this.#coming.delete(id);
    this.#bytes.delete(id);
  }

  async #lend(way: Duplex, id: string, from: string): Promise<void> {
    if ((await this.#coming.get(id)?.can) === false) return void way.destroy();
    const pids = await this.#memories(id, from);
    if (!pids) throw new Error('there is none');
    if (way.destroyed) return;
    const files = new Map([...pids].map(([inner, pid]) => [inner, openSync(this.#deps.host.path(`/proc/${pid}/mem`), 'r')]));
    way.once('close', () => {
      for (const file of files.values()) closeSync(file);
      files.clear();
    });
    const spare: Buffer[] = [];
    const requests = new Messages(HEAD, decodeHead, () => 0, (request) => {
      const buffer = spare.pop() ?? Buffer.allocUnsafeSlow(HEAD + MOST_PAGES * PAGE);
      const length = readMemory(files.get(request.pid), request, buffer.subarray(HEAD));
      this.#bytes.set(id, this.lent(id) + length);
      encodeHead(length === 0 ? { ...request, pages: 0 } : request).copy(buffer);
      way.write(buffer.subarray(0, HEAD + length), () => spare.push(buffer));
    });
    // a request is answered whole before the next is taken, and the other side never has many under way
    way.on('data', (bytes: Buffer) => requests.take(bytes));
    way.once('end', () => way.destroy());
  }

  /** Process numbers as the container counts, and as the host does; nothing where the memory is not here, or is not that of then. */
  async #memories(id: string, from: string): Promise<Map<number, number> | undefined> {
    const entry = await this.#deps.journal.read(id);
    if (entry?.role !== 'source' || entry.peer !== from || (entry.state !== 'doubt' && entry.state !== 'lending')) return undefined;
    // what merely went wrong is no answer: the destination ends its container when it hears that there is nothing
    const container = await findContainer(this.#deps.host, entry.containerId).catch(unless('not-running', undefined));
    if (!container || !(await this.#standsStill(container))) return undefined;
    const pids = await processes(this.#deps.host, container);
    return pids.length === 0 ? undefined : new Map(pids.map((pid) => [innerPid(this.#deps.host, pid), pid]));
  }

  /** The destination may ask while CRIU lets go of the processes: it holds them itself while it dumps, and their cgroup does so again afterwards. */
  async #standsStill(container: RunningContainer): Promise<boolean> {
    const frozen = (): Promise<boolean | 'gone'> => isFrozen(this.#deps.host, container).catch(unless('ENOENT', 'gone' as const));
    return (await until('the processes to stand still', frozen, { timeout: STILL_MS, every: 2 }).catch(unless('timeout', 'runs' as const))) === true;
  }
}

const unless = <T>(code: string, otherwise: T) => (error: unknown): T => {
  if (codeOf(error) === code) return otherwise;
  throw error;
};

/**
 * Waits until memory that is at the destination is in its place there, so that the container can move on. It needs nothing from here, and a
 * destination that does not answer is not waited for.
 */
export async function placed({ peers }: Pick<MoverDependencies, 'peers'>, { id, peer }: SourceEntry): Promise<PagesOutcome> {
  for (; ; await sleep(ASK_EVERY_MS)) {
    const { pages } = await peers.get(peer).call<Outcome>('/v1/moves/outcome', { id }, { timeout: 5_000 }).catch((): Partial<Outcome> => ({}));
    if (pages !== 'here') return pages === 'fetching' ? 'whole' : (pages ?? 'whole');
  }
}

/**
 * Waits until the destination has all memory of a container, or has lost it: takes as long as it takes, since the source must
 * not thaw whatever happens.
 */
export async function lend({ peers, log }: Pick<MoverDependencies, 'peers' | 'log'>, { id, peer }: SourceEntry, tell: () => void = () => undefined): Promise<PagesOutcome> {
  for (; ; await sleep(ASK_EVERY_MS)) {
    tell();
    try {
      const { state, pages } = await peers.get(peer).call<Outcome>('/v1/moves/outcome', { id }, { timeout: 5_000 });
      if (state === 'aborted') return `lost ${peer} does not know it any more`;
      if (pages !== 'fetching') return pages === 'here' ? 'whole' : (pages ?? 'whole');
    } catch (error) {
      if (codeOf(error) === 'unknown-host') return `lost ${peer} was taken out of the cluster`;
      log.debug({ migration: id, error: explain(error) }, 'a destination cannot be asked for what it has of the memory');
    }
  }
}
