import { closeSync } from 'node:fs';
import { descriptorOf } from '../../driver/kernel/descriptor.ts';
import { libc, type LibC } from '../../driver/kernel/libc.ts';
import type { PageRange } from '../criu/pagemap.ts';
import { PAGE } from './page.ts';
import { inject } from './ptrace.ts';

/** System calls of x86-64 (asm/unistd_64.h). */
const SYS = { close: 3, userfaultfd: 323 } as const;
/** fcntl.h; linux/userfaultfd.h: a process without privileges may have one that never stops the kernel. */
const FLAGS = 0o2000000 | 0o4000 | 1;
/** linux/userfaultfd.h: UFFDIO_API, UFFDIO_REGISTER. */
const API = 0xc018aa3f;
const REGISTER = 0xc020aa00;
const UFFD_API = 0xaan;
/** UFFD_FEATURE_WP_ASYNC: a page that is written to loses its protection, and nobody is asked. */
const WP_ASYNC = 1n << 15n;
const MODE_WP = 1n << 1n;

/**
 * Has the kernel notice which pages of another process are written to: userfaultfd(2) with UFFD_FEATURE_WP_ASYNC, Linux 6.7. What it noticed is
 * read by `written.ts`. The process takes a short fault at its first write to each page and knows of nothing.
 *
 * Such a descriptor belongs to the memory of whoever made it, so the process is made to make it ({@link inject}); it is taken over with
 * pidfd_getfd(2) and closed there. When it is closed here, or this process ends, all is as before.
 */
export class Userfault implements Disposable {
  readonly #fd: number;
  readonly #calls: LibC;

  private constructor(fd: number, calls: LibC) {
    this.#fd = fd;
    this.#calls = calls;
  }

  /** @param proc the process, as `/proc` of the host has it. @throws Error where it cannot be had */
  static async of(proc: string, pid: number): Promise<Userfault> {
    const calls = await libc();
    const fd = await inject(proc, pid, (call) => {
      const inside = call(SYS.userfaultfd, FLAGS);
      if (inside < 0) throw new Error(`process ${pid} gets no userfaultfd: error ${-inside}`);
      try {
        return descriptorOf(calls, { pid, fd: inside });
      } finally {
        call(SYS.close, inside);
      }
    });
    return Userfault.#opened(fd, calls);
  }

  /** That of this process, to see what the kernel can. @throws Error where it cannot */
  static async own(): Promise<Userfault> {
    const calls = await libc();
    const fd = calls.syscall(SYS.userfaultfd, FLAGS, 0, 0);
    if (fd < 0) throw new Error(`no userfaultfd: error ${calls.errno()}`);
    return Userfault.#opened(fd, calls);
  }

  static #opened(fd: number, calls: LibC): Userfault {
    const userfault = new Userfault(fd, calls);
    const api = Buffer.alloc(24);
    api.writeBigUInt64LE(UFFD_API, 0);
    api.writeBigUInt64LE(WP_ASYNC, 8);
    if (calls.ioctl(fd, API, api) === 0) return userfault;
    const error = calls.errno();
    userfault[Symbol.dispose]();
    throw new Error(`this kernel does not notice what is written to: error ${error}`);
  }

  /** @returns whether the kernel can do it there: not in memory of some kinds, nor where somebody else does it already */
  register({ address, pages }: PageRange): boolean {
    const argument = Buffer.alloc(32);
    argument.writeBigUInt64LE(BigInt(address), 0);
    argument.writeBigUInt64LE(BigInt(pages * PAGE), 8);
    argument.writeBigUInt64LE(MODE_WP, 16);
    return this.#calls.ioctl(this.#fd, REGISTER, argument) === 0;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
