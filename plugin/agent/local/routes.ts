import { z } from 'zod';
import {
  Entered, Finding, HostFile, HostLoad, Init, Join, Leave, Listing, MadeNetwork, Migration, MigrationDetails, MigrationFilter, MigrationList, MigrationRequest, Named, NetworkDetails, NetworkName, NewNetwork, NewToken, Remove, Setup, Status,
  StoreHosts, TokenRequest, Version,
} from '../api.ts';
import type { LocalDoors } from './app.ts';
import { eventsRoute, type Route, route, textRoute } from './route.ts';

const Nothing = z.object({});
const Id = z.object({ id: z.string().regex(/^[0-9a-z-]{1,64}$/).describe('of the migration') });
const Undo = z.object({ undo: z.literal('yes').exactOptional().describe('take it back instead') });

/** Every path of the local API but that of its own description. */
export function routes(doors: LocalDoors): Route[] {
  const { cluster, migrations } = doors;
  return [
    textRoute('/metrics', 'Numbers for Prometheus', () => doors.metrics()),
    route('get', '/v1/version', 'The version of the agent', Version, () => doors.version()),
    route('get', '/v1/status', 'How this host and its peers are', Status, () => doors.status()),
    route('get', '/v1/doctor', 'What is well with this host and what is not', z.array(Finding), () => doors.doctor()),
    route('get', '/v1/endpoints', 'Hosts, networks, and where each container is', Listing, () => doors.endpoints()),
    route('get', '/v1/networks', 'The networks, and who is on them', z.array(NetworkDetails), () => doors.networks()),
    route('post', '/v1/networks', 'Make a network, as docker network create does', MadeNetwork, ({ body }) => doors.createNetwork(body).then((id) => ({ id })), { body: NewNetwork }),
    route('post', '/v1/networks/remove', 'Remove a network from all hosts, where no container is on it', Nothing, ({ body }) => doors.removeNetwork(body.name).then(() => ({})), { body: NetworkName }),
    route('get', '/v1/hosts', 'What each host carries, and can', z.array(HostLoad), () => migrations.loads()),
    route('get', '/v1/files', 'What was put on this host', z.array(HostFile), () => doors.files()),
    route('get', '/v1/setup', "What would be changed in the engine's settings", Setup, ({ query }) => doors.setup({ act: false, undo: query.undo === 'yes' }), { query: Undo }),
    route('post', '/v1/setup', "Change the engine's settings", Setup, ({ query }) => doors.setup({ act: true, undo: query.undo === 'yes' }), { query: Undo }),

    route('post', '/v1/migrations', 'Begin to move a container, of whichever host', Migration, ({ body }) => migrations.create(body), { body: MigrationRequest, status: 201 }),
    route('get', '/v1/migrations', 'The moves that the hosts remember, newest first', MigrationList, ({ query }) => migrations.list(query), { query: MigrationFilter }),
    route('get', '/v1/migrations/{id}', 'One move, with its report when it has ended', MigrationDetails, ({ params }) => migrations.get(params.id), { params: Id }),
    route('post', '/v1/migrations/{id}/cancel', 'Take a move back, as long as that can be', Migration, ({ params }) => migrations.cancel(params.id), { params: Id, status: 202 }),
    eventsRoute('/v1/migrations/{id}/events', 'Watch a move: what has happened, and what happens, up to its end', Id, ({ params, after, signal }) => migrations.follow(params.id, after, signal)),

    route('post', '/v1/cluster/init', 'Make a new cluster', Entered, ({ body }) => cluster.init(body), { body: Init }),
    route('post', '/v1/cluster/join', 'Join one', Entered, ({ body }) => cluster.join(body), { body: Join }),
    route('post', '/v1/cluster/token', 'A token that lets one more host in', NewToken, ({ body }) => cluster.token(body.ttl), { body: TokenRequest }),
    route('post', '/v1/cluster/leave', 'Take this host out', Nothing, ({ body }) => cluster.leave(body.force).then(() => ({})), { body: Leave }),
    route('post', '/v1/cluster/remove', 'Take another host out', Nothing, ({ body }) => cluster.remove(body.host, body.force).then(() => ({})), { body: Remove }),
    route('post', '/v1/cluster/promote', 'Let a host keep the store', StoreHosts, ({ body }) => cluster.promote(body.host), { body: Named }),
    route('post', '/v1/cluster/demote', 'Let a host keep it no more', StoreHosts, ({ body }) => cluster.demote(body.host), { body: Named }),
  ];
}
