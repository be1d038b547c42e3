import type { Duplex } from 'node:stream';
import { z } from 'zod';
import type { Log } from '../../../driver/host/log.ts';
import type { Mover } from '../../migration/mover.ts';
import { Id, parse } from '../../migration/protocol.ts';
import { MigrationDetails, MigrationFilter, MigrationRequest } from '../api.ts';
import type { PeerRoutes } from '../peer.ts';
import type { Load } from './load.ts';

const Container = z.object({ container: z.string().min(1) });
const Named = z.object({ id: Id });
const Wanted = z.object({ id: Id, after: z.coerce.number() });

/**
 * What other hosts may ask this one about its moves, under `/v1/migrations/`. A host proves its name before it is heard, and each wish that changes
 * something is logged with it.
 *
 *     find     a container → what this engine has under that name
 *     create   MigrationRequest → Migration
 *     cancel   → Migration
 *     get, list
 *     events   a tunnel: the numbered events, one a line, to the last
 *     learn    the source of a move to this host tells how it ended
 */
export function offerMigrations(routes: PeerRoutes, { mover, load, log }: { mover: Mover; load: () => Promise<Load>; log: Log }): void {
  const { moves } = mover;
  routes.call('/v1/load', () => load());
  routes.call('/v1/migrations/find', async (body) => (await mover.find(parse(Container, body).container)) ?? null);
  routes.call('/v1/migrations/create', async (body, from) => {
    const request = parse(MigrationRequest, body);
    const migration = await mover.start(request, from);
    log.info({ migration: migration.id, container: migration.container, to: migration.to, asked: from }, 'another host asked for a move');
    return migration;
  });
  routes.call('/v1/migrations/cancel', async (body, from) => {
    const { id } = parse(Named, body);
    log.info({ migration: id, asked: from }, 'another host asked to cancel a move');
    return moves.cancel(id);
  });
  routes.call('/v1/migrations/get', async (body) => (await moves.get(parse(Named, body).id)) ?? null);
  routes.call('/v1/migrations/list', (body) => moves.list(parse(MigrationFilter, body)));
  routes.call('/v1/migrations/learn', async (body, from) => {
    const details = parse(MigrationDetails, body);
    if (details.from === from) await moves.learn(details);
    return {};
  });
  routes.tunnel('/v1/migrations/events', (stream, query) => {
    void send(stream, query, mover).catch((error: unknown) => {
      log.debug({ err: error }, 'the events of a move could not be sent');
      stream.destroy();
    });
  });
}

async function send(stream: Duplex, query: URLSearchParams, { moves }: Mover): Promise<void> {
  const { id, after } = parse(Wanted, Object.fromEntries(query));
  const stop = new AbortController();
  stream.on('close', () => stop.abort());
  // a host that does not listen any more says so by its end
  stream.resume();
  for await (const numbered of moves.follow(id, after, stop.signal)) stream.write(`${JSON.stringify(numbered)}\n`);
  stream.end();
}
