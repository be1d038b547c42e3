import { CoatError, explain } from '../host/errors.ts';
import { linkExists } from '../kernel/veth.ts';
import type { Endpoint } from '../network/local.ts';
import type { Room } from '../network/room.ts';
import { mayRelease } from '../overlay/claims.ts';
import { portName } from '../overlay/names.ts';
import { Claim, claimPath, type PublishedPort } from '../overlay/records.ts';
import { changeRecord } from '../store/change.ts';
import { askedAgain, portKey, portsAt, readPorts, withPorts, type AskedPort, type PortBinding } from './ports.ts';

/**
 * Publishes ports of an endpoint at this host. For a container that is started, all of them or none; one that arrives from
 * another host gets those that it has there, as far as they are free here, since it must not fail for a port.
 *
 * @throws CoatError `port-in-use` and others, before the container starts
 */
export async function publish(room: Room, id: string, bindings: readonly PortBinding[]): Promise<void> {
  const endpoint = room.local.endpoints.get(id);
  if (bindings.length === 0) return;
  if (!endpoint) throw new CoatError('unknown-endpoint', `there is no endpoint ${id.slice(0, 12)} whose ports could be published`);
  if (endpoint.netns !== undefined) return publishArrival(room, endpoint, bindings);
  const asked = readPorts(bindings, endpoint.ip6 !== undefined).map((port) => sameAgain(port, endpoint.published));
  await forgetDead(room, endpoint, asked);
  const ports: PublishedPort[] = [];
  try {
    for (const port of asked) ports.push(...(await room.holds.take(ownerOf(endpoint), port)));
  } catch (error) {
    room.holds.drop(ports.filter((port) => !endpoint.published?.some((old) => portKey(old) === portKey(port))));
    throw error;
  }
  await record(room, id, ports);
  try {
    await room.reconciler.now(false);
  } catch (error) {
    await unpublish(room, id);
    throw error;
  }
  // without the store all works, until the container moves
  if (room.replica.connected) await tell(room).catch((error: unknown) => room.log.debug({ reason: explain(error) }, 'published ports: not yet in the store'));
}

/** The container stands still meanwhile: what can wait does. */
async function publishArrival(room: Room, endpoint: Endpoint, bindings: readonly PortBinding[]): Promise<void> {
  const first = room.replica.claims.get(ownerOf(endpoint))?.published?.[0]?.ports;
  const ports: PublishedPort[] = [];
  for (const port of first ? askedAgain(first) : readPorts(bindings, endpoint.ip6 !== undefined)) {
    const taken = await room.holds.take(ownerOf(endpoint), port).catch((error: unknown) => {
      room.log.warn({ ip: endpoint.ip, reason: explain(error) }, 'a port of a container that arrives is not published here as well');
    });
    ports.push(...(taken ?? []));
  }
  void record(room, endpoint.id, ports)
    .then(() => room.reconciler.now(false))
    .catch((error: unknown) => room.log.error({ ip: endpoint.ip, reason: explain(error) }, 'ports of a container that has arrived are not published here'));
}

/** Takes the ports of an endpoint back. Of one that has moved away they stay: this host still is where its connections come in. */
export async function unpublish(room: Room, id: string): Promise<void> {
  const { published: ports, ...endpoint } = room.local.endpoints.get(id) ?? {};
  if (ports === undefined) return;
  await room.local.endpoints.set(endpoint as Endpoint);
  await room.reconciler.now(false);
  await keepPorts(room);
}

/** In memory at once. The record may have changed since it was read. */
async function record(room: Room, id: string, published: PublishedPort[]): Promise<void> {
  const endpoint = room.local.endpoints.get(id);
  const written = endpoint && room.local.endpoints.set({ ...endpoint, published });
  room.holds.settle(published);
  await written;
}

/** Makes sockets and claims what the records of this host's endpoints say. */
export async function keepPorts(room: Room): Promise<void> {
  await room.holds.keep(room.published().mappings);
  if (room.replica.connected) await tell(room);
}

/** Writes into the claims of this host's containers what it publishes of them, so that it is known when they move. */
async function tell({ host, local, replica, store }: Room): Promise<void> {
  for (const endpoint of local.endpoints.values().filter(({ joined }) => joined)) {
    const ports = endpoint.published ?? [];
    const isTold = (claim: Claim | undefined): boolean => claim?.host !== host || sameList(portsAt(claim, host), ports) || (ports.length === 0 && !mayRelease(claim, host));
    if (isTold(replica.claims.get(ownerOf(endpoint)))) continue;
    await changeRecord({ store, replica }, claimPath(endpoint.key, endpoint.ip), (value) => Claim.parse(value), (claim) => (isTold(claim) ? undefined : withPorts(claim!, host, ports)));
  }
}

/** Docker may ask twice; any free port stays the one that it was. */
function sameAgain(asked: AskedPort, before: readonly PublishedPort[] | undefined): AskedPort {
  const old = asked.hostPorts[0] === 0 ? before?.find(({ proto, port, hostIp }) => proto === asked.proto && port === asked.port && asked.hostIps.includes(hostIp)) : undefined;
  return old ? { ...asked, hostPorts: [old.hostPort] } : asked;
}

/** An engine that died forgets its containers without a word; their ports are free as soon as their interfaces are gone. */
async function forgetDead(room: Room, endpoint: Endpoint, asked: readonly AskedPort[]): Promise<void> {
  const isAsked = ({ proto, hostPort }: PublishedPort): boolean => asked.some((port) => port.proto === proto && port.hostPorts.includes(hostPort));
  for (const old of room.local.endpoints.values()) {
    if (old.id === endpoint.id || !old.published?.some(isAsked) || (await linkExists(room.kernel, portName(old.link)))) continue;
    room.log.info({ ip: old.ip }, 'ports of a container that is gone are free again');
    await unpublish(room, old.id);
  }
}

const ownerOf = ({ key, ip }: { key: string; ip: string }): string => `${key}/${ip}`;

const sameList = (a: readonly PublishedPort[], b: readonly PublishedPort[]): boolean =>
  a.length === b.length && a.every((port, i) => portKey(port) === portKey(b[i]!) && port.port === b[i]!.port);
