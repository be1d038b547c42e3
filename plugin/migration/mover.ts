import type { Duplex } from 'node:stream';
import { CoatError, explain } from '../../driver/host/errors.ts';
import type { Migration, MigrationDetails, MigrationRequest, Report } from '../agent/api.ts';
import type { PeerRoutes } from '../agent/peer.ts';
import type { History } from './history.ts';
import { Lenders } from './lend.ts';
import { offerLink } from './link.ts';
import { Moves } from './moves.ts';
import type { MoverDependencies } from './ports.ts';
import { nameOf } from './preflight.ts';
import { newId, Receiver } from './receive.ts';
import { recoverSource } from './recover.ts';
import { asProblem } from './problem.ts';
import { Move } from './send.ts';

/** A container as a host has it. */
export interface Found {
  id: string;
  name: string;
  running: boolean;
  /** The move of it that is under way. */
  moving?: Migration;
}

export interface Mover {
  readonly moves: Moves;
  /** What this host's engine has under a name or id. */
  find(ref: string): Promise<Found | undefined>;
  /**
   * Begins to move a container from this host; it goes on by itself.
   *
   * @param asked the host at which it was asked for
   * @throws CoatError `no-container`, `moving-already`
   */
  start(request: MigrationRequest, asked: string): Promise<Migration>;
  /** Offers the destination's side to the peers. */
  register(routes: PeerRoutes): void;
  /** Ends what an earlier life of this agent left unfinished. Needs the store and the engine. */
  recover(): Promise<void>;
}

/** @param ended told of each move that ended */
export function createMover(deps: MoverDependencies, history: History, ended: (report: Report) => void = () => undefined): Mover {
  const receiver = new Receiver(deps);
  const lenders = new Lenders(deps);
  const moves = new Moves(deps, history);
  const going = new Map<string, Move>();

  /** The destination remembers it as well. */
  const share = async (details: MigrationDetails | undefined): Promise<void> => {
    if (details === undefined || details.outcome === 'refused') return;
    await deps.peers.get(details.to).call('/v1/migrations/learn', details).catch((error: unknown) => deps.log.debug({ migration: details.id, error: explain(error) }, 'the destination does not know how a move ended'));
  };

  /** Whether a move of it has not been ended yet on this host, be it that nobody knows how, be it that records are not as they were. */
  const unended = async (containerId: string): Promise<boolean> =>
    (await deps.journal.all()).some((entry) => entry.role === 'source' && entry.containerId === containerId && entry.state !== 'withdrawn');

  return {
    moves,
    async find(ref) {
      const inspect = await deps.containers.inspect(ref);
      if (inspect === undefined) return undefined;
      const moving = moves.ofContainer(inspect.Id);
      return { id: inspect.Id, name: nameOf(inspect), running: inspect.State.Running, ...(moving === undefined ? {} : { moving }) };
    },
    async start(request, asked) {
      // a container has many names: its own, its id, and every beginning of that
      const inspect = await deps.containers.inspect(request.container);
      if (inspect === undefined) throw noContainer(request.container, deps.self);
      const container = { id: inspect.Id, name: nameOf(inspect) };
      const running = moves.ofContainer(container.id);
      if (running) throw movingAlready(running);
      if (receiver.fetching(container.id)) throw memoryMissing(container.name);
      if (await unended(container.id)) throw notEnded(container.name);
      const id = newId();
      return moves.begin(id, container, request, asked, async ({ emit, signal }) => {
        const move = new Move(deps, lenders, id, { ...request, container: container.name }, emit, signal);
        going.set(id, move);
        try {
          const report = await move.run();
          ended(report);
          deps.log.info({ migration: id, container: report.container, to: report.to, outcome: report.outcome, blackout: report.blackout, total: report.total }, 'a move has ended');
          await share(await moves.get(id));
          return report;
        } finally {
          going.delete(id);
        }
      });
    },
    register(routes) {
      receiver.register(routes);
      lenders.register(routes);
      offerLink(routes);
      const connecting = (path: string, connect: (move: Move, way: Duplex) => boolean): void => routes.tunnel(path, (way, query, from) => {
        const move = going.get(query.get('id') ?? '');
        if (move?.to === from && connect(move, way)) return;
        way.destroy();
      });
      connecting('/v1/moves/images', (move, way) => move.connect(way));
      connecting('/v1/moves/memory', (move, way) => move.connectMemory(way));
    },
    async recover() {
      await receiver.recover();
      const entries = (await deps.journal.all()).filter((entry) => entry.role === 'source');
      for (const entry of entries) {
        void recoverSource(deps, entry, (state) => moves.concluded(entry.id, state))
          .then(async () => share(await moves.get(entry.id)))
          .catch((error: unknown) => deps.log.error({ migration: entry.id, problem: asProblem(error), error: explain(error) }, 'an interrupted move could not be ended'));
      }
      // the journal goes last: without it nothing had begun, or all was done
      for (const { id, phase } of await moves.interrupted()) {
        if (!entries.some((entry) => entry.id === id)) await share(await moves.concluded(id, phase === 'released' || phase === 'cleaned' ? 'running' : 'aborted'));
      }
    },
  };
}

export function noContainer(ref: string, where: string): CoatError {
  return new CoatError('no-container', `there is no container ${ref} on ${where}`, { hint: 'docker coat ls shows the containers of all hosts' });
}

export function movingAlready({ container, to, id }: Migration): CoatError {
  return new CoatError('moving-already', `${container} is being moved to ${to} already`, { hint: `wait for it to end, or docker coat cancel ${id.slice(0, 8)}` });
}

function notEnded(container: string): CoatError {
  return new CoatError('not-ended', `the last move of ${container} has not been brought to its end yet, as the store, the engine or the other host is away`, { hint: 'try again when docker coat status shows them all' });
}

function memoryMissing(container: string): CoatError {
  return new CoatError('memory-missing', `${container} has come here before its memory, which is still being fetched`, { hint: 'wait for it to end (docker coat status)' });
}
