import { setTimeout as sleep } from 'node:timers/promises';
import { CoatError, explain } from '../host/errors.ts';
import { Undo } from '../host/undo.ts';
import { deliver } from '../kernel/deliver.ts';
import { closeHold, openHold, widenHold } from '../kernel/hold.ts';
import { createNetns, forgetWaysOut, interfacesOf, netnsPath, receiveByOne, removeNetns, setUpInside, takeUp } from '../kernel/netns.ts';
import type { Datagram } from '../kernel/packets.ts';
import { createVeth, linkExists, removeInterface } from '../kernel/veth.ts';
import { linkOf, portName } from '../overlay/names.ts';
import { addressesOf, type Network } from '../overlay/records.ts';
import { arrivalId, type Arrival, type Endpoint } from './local.ts';
import type { Room } from './room.ts';

/** After a release: until then the frames that were held have been handed on, ms. */
const SETTLED_MS = 200;

/** An endpoint to be plumbed before Docker asks for it. */
export interface ArrivalRequest {
  /** Key of the network, `10.42.0.0-24`. */
  network: string;
  ip: string;
  mac: string;
  prefixLength: number;
  /** Where it has IPv6. */
  ip6?: string | undefined;
  prefixLength6?: number | undefined;
  /** As the interface is called inside, `eth0`. */
  interfaceName: string;
  /** Name of the namespace to be made for it. */
  netns: string;
  /** Interface index it had where it comes from. */
  ifindex?: number;
}

/**
 * Makes a namespace with the interface in it, connected to the network, with its hold closed: what
 * peers send from the redirect on waits until {@link release}. Asking twice for the same is fine.
 *
 * @throws CoatError; nothing is left behind then
 */
export async function expect(room: Room, request: ArrivalRequest): Promise<void> {
  const { ip, ip6, mac, netns } = request;
  const network = room.replica.networks.get(request.network);
  if (!network) throw new CoatError('unknown-network', `this host does not know the network ${request.network}`);
  const known = room.local.arrivalAt(network.key, ip);
  if (known?.ready && known.mac === mac && known.ip6 === ip6 && known.netns === netns) return;
  if (known) await forget(room, network.key, ip);
  if (room.local.endpointAt(network.key, ip)) throw new CoatError('address-in-use', `a container of this host already has the address ${ip}`);

  await using undo = new Undo((what, error) => room.log.error({ err: error, what }, 'a failed arrival could not be undone'));
  const link = linkOf(`${network.key} ${ip} ${netns} ${Date.now()}`);
  const port = portName(link);
  const arrival: Arrival = { id: arrivalId(network.key, ip), key: network.key, network, ip, ip6, mac, link, netns, held: true, cut: false, accepting: false, ready: false };
  undo.add('arrival', () => forget(room, network.key, ip));
  await room.local.arrivals.set(arrival);
  const seen = await createNetns(room, netns);
  const index = request.ifindex === undefined ? {} : { index: request.ifindex };
  await createVeth(room.kernel, { port, mtu: network.mtu, inner: { name: request.interfaceName, mac, netns: seen, ...index } });
  await setUpInside(room.kernel, room.hostRoot, seen, { name: request.interfaceName, address: `${ip}/${request.prefixLength}`, address6: ip6 && `${ip6}/${request.prefixLength6}`, gateways: gatewaysOf(network, ip6) });
  await takeUp(room.kernel, port);
  await receiveByOne(room.kernel, seen, request.interfaceName, true).catch((error: unknown) => room.log.debug({ reason: explain(error), ip }, 'held frames may come out in another order'));
  await closeHold(room.kernel, port, network.mtu);
  await room.local.arrivals.set({ ...arrival, ready: true });
  room.responders.changed();
  await room.reconciler.now(true);
  undo.commit();
}

/** From now on frames for the arrival that reach this host wait in its hold, whatever the records say. */
export async function accept(room: Room, key: string, ip: string): Promise<void> {
  const record = plumbed(room, key, ip);
  await Promise.all([save(room, record.link, { accepting: true }), room.reconciler.now(false)]);
}

/**
 * Lets held frames go, in the order they came. The opened hold stays as long as the port: to take a queue off a port that
 * is in use, the kernel stops the port for a moment, and the frames of that moment are lost (net/sched/sch_api.c, qdisc_graft).
 */
export async function release(room: Room, key: string, ip: string): Promise<void> {
  const record = plumbed(room, key, ip);
  if (!record.held) return;
  await openHold(room.kernel, portName(record.link));
  // peers wait for the frames and not for the disk; a release that is forgotten is asked for again, and repeating it is harmless
  void save(room, record.link, { held: false })
    .then(() => sleep(SETTLED_MS, undefined, { ref: false }))
    .then(() => tidy(room, record))
    .catch((error: unknown) => room.log.warn({ reason: explain(error), ip }, 'the name of a network namespace stays in place'));
}

/**
 * Gives an arrival datagrams that had reached it where it comes from, ahead of those that are held here. Its sockets must be there.
 *
 * @returns how many it could not be given
 */
export async function putIn(room: Room, key: string, ip: string, datagrams: readonly Datagram[]): Promise<number> {
  const record = plumbed(room, key, ip);
  const network = room.replica.networks.get(key);
  if (!network || record.netns === undefined) return datagrams.length;
  const { mac, netns, link } = record;
  return deliver({ port: portName(link), here: room.kernel.netns, mac, addresses: addressesOf(record), inside: room.hostRoot + netnsPath(netns), mtu: network.mtu }, datagrams);
}

/** Gives an arrival up: its port, its namespace's name and the record go. An unknown one is fine. */
export async function forget(room: Room, key: string, ip: string): Promise<void> {
  room.offers.close(key, ip);
  const endpoint = room.local.endpointAt(key, ip);
  const record = room.local.arrivalAt(key, ip) ?? (endpoint?.netns === undefined ? undefined : endpoint);
  if (!record) return;
  await room.local.arrivals.delete(arrivalId(key, ip));
  // Docker will still ask to have its endpoint deleted
  if (record === endpoint) await room.local.endpoints.set({ ...endpoint, joined: false, held: false });
  room.responders.changed();
  await removeInterface(room.kernel, portName(record.link));
  if (record.netns !== undefined) await removeNetns(room, record.netns);
  await room.reconciler.now(true);
}

/**
 * Cuts a local endpoint off from the network, or connects it again: its port neither receives nor sends.
 *
 * @returns once the kernel does it; `written` once that would outlive this process, since the kernel need not wait for the disk
 */
export async function setCut(room: Room, key: string, ip: string, cut: boolean): Promise<{ written: Promise<void> }> {
  const record = plumbed(room, key, ip);
  if (record.cut === cut) return { written: Promise.resolve() };
  const written = save(room, record.link, { cut });
  written.catch(() => undefined);
  await room.reconciler.now(false);
  return { written };
}

/**
 * After a start: what lost its port with the host or the container is over. Docker makes new endpoints when it starts its
 * containers again.
 */
export async function resume(room: Room): Promise<void> {
  const { endpoints, arrivals } = room.local;
  const alive = ({ link }: Arrival | Endpoint): Promise<boolean> => linkExists(room.kernel, portName(link));
  for (const arrival of arrivals.values()) {
    if (!arrival.ready || !(await alive(arrival))) await forget(room, arrival.key, arrival.ip);
  }
  for (const endpoint of endpoints.values().filter(({ joined }) => joined)) {
    if (!(await alive(endpoint))) await endpoints.set({ ...endpoint, joined: false });
    else if (!endpoint.held) await tidy(room, endpoint);
  }
}

/** The namespace lives by its container; its name was for the way here. */
async function tidy(room: Room, { netns, ip, link }: Arrival | Endpoint): Promise<void> {
  if (netns === undefined) return;
  const seen = room.hostRoot + netnsPath(netns);
  await widenHold(room.kernel, portName(link));
  for (const name of await interfacesOf(room.kernel, seen)) await receiveByOne(room.kernel, seen, name, false).catch((error: unknown) => room.log.debug({ reason: explain(error), ip }, 'one processor goes on receiving for a container'));
  await forgetWaysOut(room, netns);
  await removeNetns(room, netns);
}

function gatewaysOf({ internal, gateway, gateway6 }: Network, ip6: string | undefined): string[] {
  return internal ? [] : [gateway, ...(ip6 === undefined || gateway6 === undefined ? [] : [gateway6])];
}

/** The endpoint or arrival at an address of this host. @throws CoatError `unknown-endpoint` */
function plumbed({ local }: Room, key: string, ip: string): Arrival | Endpoint {
  const record = local.endpointAt(key, ip) ?? local.arrivalAt(key, ip);
  if (!record) throw new CoatError('unknown-endpoint', `no container of this host has the address ${ip} in ${key}`);
  return record;
}

/** Changes the record of a port, which may have become an endpoint's meanwhile. In memory at once. */
async function save({ local }: Room, link: string, change: { held?: boolean; cut?: boolean; accepting?: boolean }): Promise<void> {
  const endpoint = local.endpoints.find((record) => record.link === link);
  const arrival = local.arrivals.find((record) => record.link === link);
  await Promise.all([endpoint && local.endpoints.set({ ...endpoint, ...change }), arrival && local.arrivals.set({ ...arrival, ...change })]);
}
