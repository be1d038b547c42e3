import { readFileSync } from 'node:fs';
import { readFile, readdir, readlink, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { explain } from '../../driver/host/errors.ts';
import { isOwn } from '../../driver/kernel/deliver.ts';
import type { Datagram } from '../../driver/kernel/packets.ts';
import { peekAll } from '../../driver/kernel/peek.ts';
import type { RunningContainer } from '../criu/container.ts';
import { processes } from '../criu/freezer.ts';
import type { HostSide } from '../criu/host.ts';
import { contains, parseAddress, parseSubnet } from '../../driver/ipam/address.ts';
import { addressesOf } from '../../driver/overlay/records.ts';
import type { MoverDependencies } from './ports.ts';
import type { Endpoint } from './protocol.ts';

/** Among CRIU's images, which have other names; only where there are any. */
export const DATAGRAMS = 'datagrams.json';

const Record = z.array(
  z.object({
    from: z.ipv4().or(z.ipv6()),
    fromPort: z.int().min(0).max(65_535),
    to: z.ipv4().or(z.ipv6()),
    toPort: z.int().min(0).max(65_535),
    traffic: z.int().min(0).max(255),
    hops: z.int().min(0).max(255),
    data: z.base64().transform((text) => Buffer.from(text, 'base64')),
  }),
);

/** A UDP socket that has something to read: its inode, its port, and how much of the kernel's memory that takes, bytes. */
export interface Waiting {
  inode: string;
  port: number;
  room: number;
}

/** Those of /proc/net/udp or udp6 (proc_pid_net(5)). */
export function waitingIn(table: string): Waiting[] {
  return table.split('\n').slice(1).flatMap((line) => {
    const [, local, , , queues, , , , , inode] = line.trim().split(/\s+/);
    const room = Number.parseInt(queues?.split(':')[1] ?? '0', 16);
    return room > 0 ? [{ inode: inode!, port: Number.parseInt(local!.split(':').at(-1)!, 16), room }] : [];
  });
}

/**
 * Writes down the datagrams that a container's sockets have got and its programs not read yet: CRIU leaves them out (criu/sk-inet.c, "Read queue is
 * dropped"). They are only looked at, so a move that is taken back has lost none. The container must stand still.
 *
 * Where there are none, which is nearly always, this costs a look at two tables.
 *
 * @returns why some are left behind, where they are
 */
export async function keepUnread({ host, log }: Pick<MoverDependencies, 'host' | 'log'>, container: RunningContainer, own: readonly string[], images: string): Promise<string | undefined> {
  const waiting = ['udp', 'udp6'].flatMap((name) => waitingIn(tableOf(host, container.pid, name)));
  if (waiting.length === 0) return undefined;
  const places = await placesOf(host, container);
  const found: Datagram[][] = [];
  let missed = 0;
  for (const socket of waiting) {
    try {
      const place = places.get(socket.inode);
      if (!place) throw new Error('no process has the socket');
      found.push(await peekAll(place, socket));
    } catch (error) {
      log.warn({ port: socket.port, reason: explain(error) }, 'datagrams that were not read cannot be looked at');
      missed += 1;
    }
  }
  const datagrams = each(found, own);
  if (datagrams.length > 0) await writeFile(host.path(`${images}/${DATAGRAMS}`), JSON.stringify(datagrams.map((one) => ({ ...one, data: one.data.toString('base64') }))));
  return missed === 0 ? undefined : `datagrams that had come and were not read yet are lost, of ${missed} ${missed === 1 ? 'socket' : 'sockets'}: this kernel does not let them be looked at`;
}

/**
 * What has to be put in so that every socket has its own again. One that went to many is in the queue of each, and is put in once.
 *
 * @param own the container's addresses
 */
export function each(sockets: readonly (readonly Datagram[])[], own: readonly string[]): Datagram[] {
  const known = new Map<string, number>();
  return sockets.flatMap((datagrams) => {
    const here = new Map<string, number>();
    return datagrams.filter((one) => {
      if (isOwn(one.to, own)) return true;
      const key = [one.from, one.fromPort, one.to, one.toPort, one.data.toString('base64')].join(' ');
      const count = (here.get(key) ?? 0) + 1;
      here.set(key, count);
      if (count <= (known.get(key) ?? 0)) return false;
      known.set(key, count);
      return true;
    });
  });
}

/** Reads what {@link keepUnread} wrote at the other host. */
export async function readUnread(host: HostSide, images: string): Promise<Datagram[]> {
  return Record.parse(JSON.parse(await readFile(host.path(`${images}/${DATAGRAMS}`), 'utf8')));
}

/** Through which of a container's endpoints each of its datagrams had come; where that cannot be told any does. */
export function byEndpoint<E extends Pick<Endpoint, 'ip' | 'ip6' | 'prefixLength' | 'prefixLength6'>>(datagrams: readonly Datagram[], endpoints: readonly E[]): Map<E, Datagram[]> {
  const found = new Map<E, Datagram[]>();
  for (const one of datagrams) {
    const sender = parseAddress(one.from);
    const near = ({ ip, prefixLength, ip6, prefixLength6 }: E): boolean =>
      contains(parseSubnet(`${ip}/${prefixLength}`), sender) || (ip6 !== undefined && contains(parseSubnet(`${ip6}/${prefixLength6}`), sender));
    const endpoint = endpoints.find((each) => addressesOf(each).includes(one.to)) ?? endpoints.find(near) ?? endpoints[0];
    if (endpoint) found.set(endpoint, [...(found.get(endpoint) ?? []), one]);
  }
  return found;
}

/** At once: a trip to a thread would cost more, with the container standing still. */
function tableOf(host: HostSide, pid: number, name: string): string {
  try {
    return readFileSync(host.path(`/proc/${pid}/net/${name}`), 'utf8');
  } catch {
    // a kernel without IPv6, or a container that has just ended
    return '';
  }
}

/** Where each socket of a container is open, by its inode. */
async function placesOf(host: HostSide, container: RunningContainer): Promise<Map<string, { pid: number; fd: number }>> {
  const places = new Map<string, { pid: number; fd: number }>();
  for (const pid of await processes(host, container)) {
    const directory = host.path(`/proc/${pid}/fd`);
    for (const fd of await readdir(directory).catch(() => [])) {
      const inode = /^socket:\[(\d+)\]$/.exec(await readlink(`${directory}/${fd}`).catch(() => ''))?.[1];
      if (inode !== undefined) places.set(inode, { pid, fd: Number(fd) });
    }
  }
  return places;
}

/** What the move says of datagrams that could not be put in. */
export function notPutIn(lost: number): { warning?: string } {
  if (lost === 0) return {};
  const [noun, verb] = lost === 1 ? ['datagram', 'was'] : ['datagrams', 'were'];
  return { warning: `${lost} ${noun} that had come and ${verb} not read yet could not be put in again` };
}
