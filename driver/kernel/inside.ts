import { closeSync, openSync } from 'node:fs';
import { CoatError } from '../host/errors.ts';
import { type Call, loadLibC } from '../host/libc.ts';
import { addressBytes } from '../ipam/address.ts';

/** sched.h, sys/socket.h, fcntl.h: the same on x64 and arm64. */
const CLONE_NEWNET = 0x40000000;
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

interface Sockets { setns: Call; socket: Call; bind: Call; close: Call; errno: () => number }

let loading: Promise<Sockets> | undefined;

/** Node has no way of its own into a namespace. */
async function load(): Promise<Sockets> {
  const c = await loadLibC();
  return {
    setns: c.func('setns', 'int', ['int', 'int']),
    socket: c.func('socket', 'int', ['int', 'int', 'int']),
    bind: c.func('bind', 'int', ['int', 'const void *', 'uint32_t']),
    close: c.func('close', 'int', ['int']),
    errno: c.errno,
  };
}

/**
 * A UDP socket in another network namespace, bound, for a process that stays where it is. A socket belongs to the namespace it
 * was made in (network_namespaces(7)), so this thread goes there, makes it and comes back, setns(2), without letting anything else run
 * in between: 0.1 ms, where a process of its own for it takes 60 ms of a processor.
 *
 * @param netns path of the namespace as this process opens it
 * @returns its file descriptor, which the caller closes
 * @throws CoatError `no-socket`
 */
export async function udpSocketIn(netns: string, address: string, port: number): Promise<number> {
  const c = await (loading ??= load()).catch((cause: unknown) => {
    throw new CoatError('no-socket', 'the C library cannot be called', { cause });
  });
  const [here, there] = [openSync('/proc/thread-self/ns/net', 'r'), openOr(netns)];
  try {
    if (there === undefined || c.setns(there, CLONE_NEWNET) !== 0) throw new CoatError('no-socket', `the namespace ${netns} cannot be entered`);
    try {
      return bound(c, address, port);
    } finally {
      // in a container's network an agent would do harm: better none
      if (c.setns(here, CLONE_NEWNET) !== 0) process.abort();
    }
  } finally {
    closeSync(here);
    if (there !== undefined) closeSync(there);
  }
}

function openOr(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch {
    return undefined;
  }
}

function bound(c: Sockets, address: string, port: number): number {
  const fd = c.socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new CoatError('no-socket', `a socket cannot be made: error ${c.errno()}`);
  // struct sockaddr_in, ip(7)
  const name = Buffer.alloc(16);
  name.writeUInt16LE(AF_INET, 0);
  name.writeUInt16BE(port, 2);
  addressBytes(address).copy(name, 4);
  if (c.bind(fd, name, name.length) === 0) return fd;
  const error = c.errno();
  c.close(fd);
  throw new CoatError('no-socket', `a socket cannot be bound to ${address}:${port}: error ${error}`);
}
