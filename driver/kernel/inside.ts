import { closeSync, openSync } from 'node:fs';
import type * as Everything from 'koffi';
import { CoatError } from '../host/errors.ts';
import { addressBytes } from '../ipam/address.ts';

/** sched.h, sys/socket.h, fcntl.h: the same on x64 and arm64. */
const CLONE_NEWNET = 0x40000000;
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;

type Call = (...args: unknown[]) => number;
interface LibC { setns: Call; socket: Call; bind: Call; close: Call; errno: () => number }

let loading: Promise<LibC> | undefined;

/** The C library, through koffi's foreign function interface: Node has no way of its own into a namespace. Loaded when first needed. */
async function load(): Promise<LibC> {
  const imported = (await import('koffi')) as Partial<typeof Everything> & { default?: typeof Everything };
  // as a part of one file the agent gets the CommonJS package, elsewhere the module
  const koffi = imported.default ?? (imported as typeof Everything);
  const c = koffi.load(null);
  return {
    setns: c.func('int setns(int fd, int type)') as Call,
    socket: c.func('int socket(int domain, int type, int protocol)') as Call,
    bind: c.func('int bind(int fd, const void *address, uint32_t length)') as Call,
    close: c.func('int close(int fd)') as Call,
    errno: () => koffi.errno(),
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

function bound(c: LibC, address: string, port: number): number {
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
