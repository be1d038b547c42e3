import { CoatError } from '../host/errors.ts';
import { formatAddress } from '../ipam/address.ts';
import { descriptorOf } from './descriptor.ts';
import { libc, type LibC } from './libc.ts';
import type { Datagram } from './packets.ts';
import { receive } from './receive.ts';

/** sys/socket.h, netinet/in.h, linux/in6.h, linux/udp.h: the same on x64 and arm64. */
const [SOL_SOCKET, IPPROTO_IP, IPPROTO_UDP, IPPROTO_IPV6] = [1, 0, 17, 41];
const SO_PEEK_OFF = 42;
const [MSG_PEEK, MSG_TRUNC, MSG_DONTWAIT] = [0x02, 0x20, 0x40];
const EAGAIN = 11;
const LARGEST = 65_536;
/** The least that the kernel takes for a datagram, bytes. */
const LEAST_ROOM = 64;

/** What a socket is told, so that each datagram comes with it, and what it comes as. Sockets of IPv6 get IPv4's too. */
const TELLS = [
  { level: IPPROTO_IP, name: 8 }, // IP_PKTINFO
  { level: IPPROTO_IP, name: 12 }, // IP_RECVTTL
  { level: IPPROTO_IP, name: 13 }, // IP_RECVTOS
  { level: IPPROTO_IPV6, name: 49 }, // IPV6_RECVPKTINFO
  { level: IPPROTO_IPV6, name: 51 }, // IPV6_RECVHOPLIMIT
  { level: IPPROTO_IPV6, name: 66 }, // IPV6_RECVTCLASS
] as const;

/**
 * All datagrams in the queue of another process's UDP socket, which stay in it: recv(2), MSG_PEEK, from one to the next by SO_PEEK_OFF
 * (socket(7)). An empty one is seen once only, as the kernel passes over it afterwards (net/core/datagram.c, __skb_try_recv_from_queue). The socket comes by pidfd_getfd(2) and is the process's own, so what it is told for this is taken back. Nobody else may use it meanwhile.
 *
 * @param room what the queue takes, bytes; it has no more datagrams than have room in it
 * @throws CoatError `no-socket`, `not-read`
 */
export async function peekAll({ pid, fd }: { pid: number; fd: number }, { port, room }: { port: number; room: number }): Promise<Datagram[]> {
  const c = await libc();
  const socket = descriptorOf(c, { pid, fd });
  const told: (() => void)[] = [];
  try {
    // one of IPv4 refuses what is IPv6's
    for (const { level, name } of TELLS) told.push(tell(c, socket, level, name, 1));
    told.push(tell(c, socket, SOL_SOCKET, SO_PEEK_OFF, 0));
    return [...queueOf(c, socket, Math.ceil(room / LEAST_ROOM))].flatMap((message) => datagramsOf(message, port));
  } finally {
    for (const undo of told) undo();
    c.close(socket);
  }
}

/** Sets an option that is a number. @returns how it is put back */
function tell(c: LibC, socket: number, level: number, name: number, value: number): () => void {
  const number = (of: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(of);
    return bytes;
  };
  const before = number(0);
  if (c.getsockopt(socket, level, name, before, number(4)) !== 0 || before.readInt32LE() === value) return () => undefined;
  c.setsockopt(socket, level, name, number(value), 4);
  return () => void c.setsockopt(socket, level, name, before, 4);
}

interface Message {
  sender: Buffer;
  data: Buffer;
  /** What came with it, by level and type. */
  beside: Map<string, Buffer>;
}

function* queueOf(c: LibC, socket: number, most: number): Generator<Message> {
  const room = { sender: Buffer.alloc(28), data: Buffer.alloc(LARGEST), control: Buffer.alloc(512) };
  for (let count = 0, refusals = 0; ; count += 1) {
    const { length, beside } = receive(c, socket, room, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
    if (length < 0 && c.errno() === EAGAIN) return;
    // what a peer's host has answered to something sent earlier is told first, once
    if (length < 0 && refusals++ === 0) continue;
    if (length < 0 || count > most) throw new CoatError('not-read', `a queue cannot be read: ${length < 0 ? `error ${c.errno()}` : 'it has no end'}`);
    yield { sender: Buffer.from(room.sender), data: Buffer.from(room.data.subarray(0, length)), beside };
  }
}

/** Mostly one: a socket with UDP_GRO (udp(7)) gets several of one size together. */
function datagramsOf({ sender, data, beside }: Message, port: number): Datagram[] {
  const had = (level: number, type: number): Buffer | undefined => beside.get(`${level} ${type}`);
  // IP_PKTINFO, IPV6_PKTINFO: struct in_pktinfo has two numbers before the address
  const to = had(IPPROTO_IP, 8)?.subarray(8, 12) ?? had(IPPROTO_IPV6, 50)?.subarray(0, 16);
  if (to === undefined) throw new CoatError('not-read', 'a datagram does not say where it went');
  const six = sender.readUInt16LE(0) !== 2;
  const numberOf = (bytes: Buffer | undefined): number | undefined => bytes && (bytes.length >= 4 ? bytes.readInt32LE() : bytes[0]);
  const about = {
    from: textOf(six ? sender.subarray(8, 24) : sender.subarray(4, 8)),
    fromPort: sender.readUInt16BE(2),
    to: textOf(to),
    toPort: port,
    traffic: numberOf(had(IPPROTO_IP, 1) ?? had(IPPROTO_IPV6, 67)) ?? 0,
    hops: numberOf(had(IPPROTO_IP, 2) ?? had(IPPROTO_IPV6, 52)) ?? 64,
  };
  const size = numberOf(had(IPPROTO_UDP, 104)) ?? data.length;
  const count = Math.max(1, Math.ceil(data.length / Math.max(1, size)));
  return Array.from({ length: count }, (_, index) => ({ ...about, data: data.subarray(index * size, (index + 1) * size) }));
}

/** An IPv4 address in its IPv6 form is one of IPv4. */
function textOf(bytes: Buffer): string {
  const number = BigInt(`0x${bytes.toString('hex')}`);
  return formatAddress(bytes.length === 4 ? number + 0xffff00000000n : number);
}
