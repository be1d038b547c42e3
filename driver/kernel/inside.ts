import { closeSync, openSync } from 'node:fs';
import { CoatError } from '../host/errors.ts';
import { addressBytes } from '../ipam/address.ts';
import { libc, type LibC } from './libc.ts';

/** sched.h, sys/socket.h, fcntl.h: the same on x64 and arm64. */
const CLONE_NEWNET = 0x40000000;
export const [AF_INET, AF_INET6, AF_PACKET] = [2, 10, 17];
export const [SOCK_DGRAM, SOCK_RAW] = [2, 3];
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

/**
 * Does something in another network namespace, for a process that stays where it is. A socket belongs to the namespace it
 * was made in (network_namespaces(7)), so this thread goes there, makes it and comes back, setns(2), without letting anything else run
 * in between: 0.1 ms, where a process of its own for it takes 60 ms of a processor. Node has no way of its own into a namespace.
 *
 * @param netns path of the namespace as this process opens it
 * @param work what must not wait for anything
 * @throws CoatError `no-socket`
 */
export async function insideOf<T>(netns: string, work: (c: LibC) => T): Promise<T> {
  const c = await libc();
  const [here, there] = [openSync('/proc/thread-self/ns/net', 'r'), openOr(netns)];
  try {
    if (there === undefined || c.setns(there, CLONE_NEWNET) !== 0) throw new CoatError('no-socket', `the namespace ${netns} cannot be entered`);
    try {
      return work(c);
    } finally {
      // in a container's network an agent would do harm: better none
      if (c.setns(here, CLONE_NEWNET) !== 0) process.abort();
    }
  } finally {
    closeSync(here);
    if (there !== undefined) closeSync(there);
  }
}

/** A socket that never waits. @returns its file descriptor, which the caller closes. @throws CoatError `no-socket` */
export function newSocket(c: LibC, domain: number, type: number, protocol: number): number {
  const fd = c.socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) throw new CoatError('no-socket', `a socket cannot be made: error ${c.errno()}`);
  return fd;
}

/**
 * A UDP socket in another network namespace, bound.
 *
 * @param netns path of the namespace as this process opens it
 * @returns its file descriptor, which the caller closes
 * @throws CoatError `no-socket`
 */
export function udpSocketIn(netns: string, address: string, port: number): Promise<number> {
  return insideOf(netns, (c) => bound(c, address, port));
}

function openOr(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch {
    return undefined;
  }
}

function bound(c: LibC, address: string, port: number): number {
  const fd = newSocket(c, AF_INET, SOCK_DGRAM, 0);
  const name = socketAddress(address, port);
  if (c.bind(fd, name, name.length) === 0) return fd;
  const error = c.errno();
  c.close(fd);
  throw new CoatError('no-socket', `a socket cannot be bound to ${address}:${port}: error ${error}`);
}

/** struct sockaddr_in, ip(7), or sockaddr_in6, ipv6(7). */
export function socketAddress(address: string, port: number): Buffer {
  const bytes = addressBytes(address);
  const name = Buffer.alloc(bytes.length === 4 ? 16 : 28);
  name.writeUInt16LE(bytes.length === 4 ? AF_INET : AF_INET6, 0);
  name.writeUInt16BE(port, 2);
  bytes.copy(name, bytes.length === 4 ? 4 : 8);
  return name;
}
