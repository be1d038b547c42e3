import { CoatError } from '../host/errors.ts';
import { familyOf } from '../ipam/address.ts';
import { AF_INET, AF_INET6, AF_PACKET, insideOf, newSocket, SOCK_DGRAM, SOCK_RAW, socketAddress } from './inside.ts';
import { libc, type LibC } from './libc.ts';
import { type Datagram, packetsOf } from './packets.ts';

/** linux/if_packet.h, linux/if_ether.h, netinet/in.h, linux/in6.h */
const [SOL_PACKET, PACKET_QDISC_BYPASS] = [263, 20];
const [ETH_P_IP, ETH_P_IPV6] = [0x0800, 0x86dd];
const IPPROTO_RAW = 255;
const [IPPROTO_IPV6, IPV6_HDRINCL] = [41, 36];
/** Of `lo`, Linux's own default. */
const LOOPBACK_MTU = 65_535;

/** Where datagrams are put in: an interface of a container, by its two ends. */
export interface Inlet {
  /** Our end, and the namespace it is in. */
  port: string;
  here: string;
  /** The container's end: its MAC, its addresses, and its namespace. */
  mac: string;
  addresses: readonly string[];
  inside: string;
  /** In bytes. */
  mtu: number;
}

/**
 * Puts datagrams into a container as if they had come just now, ahead of what its hold keeps. Those of others come out of its own interface, so
 * that it cannot tell them from any: through our end, past its queue (packet(7), PACKET_QDISC_BYPASS). Those it has sent to itself
 * would be martians there; they are sent anew inside, by raw sockets whose headers are ours (raw(7)). One to many of its own stays out:
 * all the others would get it again.
 *
 * @returns how many could not be put in
 * @throws CoatError `no-socket`
 */
export async function deliver(inlet: Inlet, datagrams: readonly Datagram[]): Promise<number> {
  const own = datagrams.filter(({ from }) => isOwn(from, inlet.addresses));
  const inside = own.filter(({ to }) => isOwn(to, inlet.addresses));
  const outside = datagrams.filter((each) => !own.includes(each));
  const unsent = [outside.length > 0 ? await fromOutside(inlet, outside) : 0, inside.length > 0 ? await fromInside(inlet, inside) : 0];
  return unsent[0]! + unsent[1]! + own.length - inside.length;
}

/** Whether it is one of a container itself. */
export const isOwn = (address: string, own: readonly string[]): boolean => address.startsWith('127.') || address === '::1' || own.includes(address);

async function fromOutside({ port, here, mac, mtu }: Inlet, datagrams: readonly Datagram[]): Promise<number> {
  const { fd, index } = await insideOf(here, (c) => ({ fd: newSocket(c, AF_PACKET, SOCK_DGRAM, 0), index: c.if_nametoindex(port) }));
  const c = await libc();
  try {
    if (index === 0) throw new CoatError('no-link', `there is no interface ${port}`);
    const yes = Buffer.from([1, 0, 0, 0]);
    c.setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, yes, yes.length);
    const to = { 4: linkAddress(index, ETH_P_IP, mac), 6: linkAddress(index, ETH_P_IPV6, mac) };
    return unsent(c, fd, datagrams, mtu, (datagram) => to[familyOf(datagram.to)]);
  } finally {
    c.close(fd);
  }
}

async function fromInside({ inside }: Inlet, datagrams: readonly Datagram[]): Promise<number> {
  let failed = 0;
  for (const family of [4, 6] as const) {
    const those = datagrams.filter(({ to }) => familyOf(to) === family);
    if (those.length === 0) continue;
    const fd = await insideOf(inside, (c) => newSocket(c, family === 4 ? AF_INET : AF_INET6, SOCK_RAW, IPPROTO_RAW));
    const c = await libc();
    try {
      // of IPv4 that protocol says it already
      const yes = Buffer.from([1, 0, 0, 0]);
      if (family === 6) c.setsockopt(fd, IPPROTO_IPV6, IPV6_HDRINCL, yes, yes.length);
      failed += unsent(c, fd, those, LOOPBACK_MTU, ({ to }) => socketAddress(to, 0));
    } finally {
      c.close(fd);
    }
  }
  return failed;
}

/** Sends datagrams, each as far as it goes. @returns how many did not go */
function unsent(c: LibC, fd: number, datagrams: readonly Datagram[], mtu: number, addressOf: (datagram: Datagram) => Buffer): number {
  return datagrams.filter((datagram) => {
    const to = addressOf(datagram);
    return !packetsOf(datagram, mtu).every((packet) => c.sendto(fd, packet, packet.length, 0, to, to.length) === packet.length);
  }).length;
}

/** struct sockaddr_ll, packet(7). */
function linkAddress(index: number, protocol: number, mac: string): Buffer {
  const name = Buffer.alloc(20);
  name.writeUInt16LE(AF_PACKET, 0);
  name.writeUInt16BE(protocol, 2);
  name.writeInt32LE(index, 4);
  name.writeUInt8(6, 11);
  Buffer.from(mac.replaceAll(':', ''), 'hex').copy(name, 12);
  return name;
}
