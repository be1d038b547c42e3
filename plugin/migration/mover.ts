import { explain } from '../../driver/host/errors.ts';
import type { MigrationRequest } from '../agent/api.ts';
import type { PeerRoutes } from '../agent/peer.ts';
import { Lenders } from './lend.ts';
import type { MoverDependencies } from './ports.ts';
import { newId, Receiver } from './receive.ts';
import { recoverSource } from './recover.ts';
import { asProblem, type Emit, Move } from './send.ts';

export interface Mover {
  /** Moves a container from this host. Never throws: the last event says what became of it. */
  migrate(request: MigrationRequest, emit: Emit, signal: AbortSignal): Promise<void>;
  list(): { id: string; container: string; from: string; to: string; phase: string }[];
  /** Offers the destination's side to the peers. */
  register(routes: PeerRoutes): void;
  /** Ends what an earlier life of this agent left unfinished. Needs the store and the engine. */
  recover(): Promise<void>;
}

export function createMover(deps: MoverDependencies): Mover {
  const receiver = new Receiver(deps);
  const lenders = new Lenders(deps);
  const moves = new Map<string, { move: Move; request: MigrationRequest; container: string }>();
  return {
    async migrate(request, emit, signal) {
      // a container has many names: its own, its id, and every beginning of that
      const container = await deps.containers.inspect(request.container).then((inspect) => inspect?.Id ?? request.container, () => request.container);
      const running = [...moves.values()].find((other) => other.container === container);
      const busy = running ? `is being moved to ${running.request.to} already` : receiver.fetching(container) ? 'has come here before its memory, which is still being fetched' : undefined;
      if (busy !== undefined) {
        emit({
          type: 'failed',
          problem: { code: running ? 'moving-already' : 'memory-missing', message: `${request.container} ${busy}`, hint: 'wait for it to end (docker coat status)' },
          report: { id: '', container: request.container, from: deps.self, to: request.to, outcome: 'refused', total: 0, phases: [], steps: [], bytes: { memory: 0, state: 0, files: 0, image: 0 }, warnings: [] },
        });
        return;
      }
      const move = new Move(deps, lenders, newId(), request, emit, signal);
      moves.set(move.id, { move, request, container });
      try {
        const report = await move.run();
        deps.log.info({ migration: report.id, container: report.container, to: report.to, outcome: report.outcome, blackout: report.blackout, total: report.total }, 'a move has ended');
      } finally {
        moves.delete(move.id);
      }
    },
    list: () => [...moves.values()].map(({ move, request }) => ({ id: move.id, container: request.container, from: deps.self, to: request.to, phase: move.phase })),
    register(routes) {
      receiver.register(routes);
      lenders.register(routes);
      routes.tunnel('/v1/moves/images', (way, query, from) => {
        const moving = moves.get(query.get('id') ?? '');
        if (moving?.request.to === from && moving.move.connect(way)) return;
        way.destroy();
      });
    },
    async recover() {
      await receiver.recover();
      for (const entry of await deps.journal.all()) {
        if (entry.role !== 'source') continue;
        void recoverSource(deps, entry).catch((error: unknown) => deps.log.error({ migration: entry.id, problem: asProblem(error), error: explain(error) }, 'an interrupted move could not be ended'));
      }
    },
  };
}
