import { promisify } from 'node:util';
import type * as Everything from 'koffi';
import { CoatError } from '../host/errors.ts';

export type Call = (...args: unknown[]) => number;

/** What is called of the C library. Each returns -1 where it fails; then {@link LibC.errno} says why. */
export interface LibC {
  setns: Call;
  socket: Call;
  bind: Call;
  listen: Call;
  accept: Call;
  close: Call;
  read: Call;
  poll: Call;
  /** The same in a thread, so that others come to their turn meanwhile. */
  pollLater(...args: unknown[]): Promise<number>;
  sendto: Call;
  recvmsg: Call;
  setsockopt: Call;
  getsockopt: Call;
  ioctl: Call;
  waitpid: Call;
  ptrace: Call;
  /** The same, where it reads or writes a buffer. */
  ptraceData: Call;
  /** 0 where there is no interface of that name. */
  if_nametoindex: Call;
  /** For what the C library of a host may be too old to have a function of. */
  syscall: Call;
  errno(): number;
  /** Where a buffer lies, for structures that point at others; the caller keeps the buffer alive. */
  address(buffer: Buffer): bigint;
}

let loading: Promise<LibC> | undefined;

/** The C library, through koffi's foreign function interface. Loaded when first needed. @throws CoatError `no-libc` */
export function libc(): Promise<LibC> {
  return (loading ??= load().catch((cause: unknown) => {
    throw new CoatError('no-libc', 'the C library cannot be called', { cause });
  }));
}

async function load(): Promise<LibC> {
  const imported = (await import('koffi')) as Partial<typeof Everything> & { default?: typeof Everything };
  // as a part of one file the agent gets the CommonJS package, elsewhere the module
  const koffi = imported.default ?? (imported as typeof Everything);
  const c = koffi.load(null);
  const of = (declaration: string): Call => c.func(declaration) as Call;
  const poll = c.func('int poll(void *descriptors, unsigned long count, int timeout)');
  return {
    setns: of('int setns(int fd, int type)'),
    socket: of('int socket(int domain, int type, int protocol)'),
    bind: of('int bind(int fd, const void *address, uint32_t length)'),
    listen: of('int listen(int fd, int backlog)'),
    accept: of('int accept4(int fd, void *address, void *length, int flags)'),
    close: of('int close(int fd)'),
    read: of('long read(int fd, void *data, size_t length)'),
    poll: poll as Call,
    pollLater: promisify(poll.async) as LibC['pollLater'],
    sendto: of('long sendto(int fd, const void *data, size_t length, int flags, const void *address, uint32_t addressLength)'),
    recvmsg: of('long recvmsg(int fd, void *message, int flags)'),
    setsockopt: of('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)'),
    getsockopt: of('int getsockopt(int fd, int level, int name, void *value, void *length)'),
    if_nametoindex: of('unsigned int if_nametoindex(const char *name)'),
    ioctl: of('int ioctl(int fd, unsigned long request, void *argument)'),
    waitpid: of('int waitpid(int pid, void *status, int options)'),
    ptrace: of('long ptrace(long request, int pid, size_t address, size_t data)'),
    ptraceData: c.func('ptrace', 'long', ['long', 'int', 'size_t', 'void *']) as Call,
    syscall: of('long syscall(long number, long first, long second, long third)'),
    errno: () => koffi.errno(),
    address: (buffer) => koffi.address(buffer),
  };
}
