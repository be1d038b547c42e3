import { CoatError } from '../host/errors.ts';
import type { LibC } from './libc.ts';

/** asm-generic/unistd.h: the same on x64 and arm64. */
const PIDFD_OPEN = 434;
const PIDFD_GETFD = 438;

/**
 * A descriptor of another process's own, as one of this process: pidfd_getfd(2).
 *
 * @returns it, which the caller closes
 * @throws CoatError `no-socket`
 */
export function descriptorOf(c: LibC, { pid, fd }: { pid: number; fd: number }): number {
  const process = c.syscall(PIDFD_OPEN, pid, 0, 0);
  if (process < 0) throw new CoatError('no-socket', `process ${pid} cannot be opened: error ${c.errno()}`);
  const ours = c.syscall(PIDFD_GETFD, process, fd, 0);
  const error = c.errno();
  c.close(process);
  if (ours < 0) throw new CoatError('no-socket', `a descriptor of process ${pid} cannot be had: error ${error}`);
  return ours;
}
