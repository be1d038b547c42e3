import type { LibC } from '../../driver/kernel/libc.ts';
import { PAGE } from './page.ts';

/** linux/userfaultfd.h: UFFDIO_WAKE, UFFDIO_COPY, UFFDIO_ZEROPAGE, and the events. */
const WAKE = 0x8010aa02;
const COPY = 0xc028aa03;
const ZEROPAGE = 0xc020aa04;
const EVENT = { fault: 0x12, fork: 0x13, moved: 0x14, removed: 0x15, unmapped: 0x16 } as const;
/** struct uffd_msg. */
const MESSAGE = 32;
/** Taken at once. */
const MESSAGES = 16;

/** asm-generic/errno-base.h, errno.h. */
const [ENOENT, ESRCH, EAGAIN, ENOMEM, EEXIST, EINVAL, ENOSPC] = [2, 3, 11, 12, 17, 22, 28];

/** What a process does in memory that is watched. All but a fault waits until it has been read. */
export type MemoryEvent =
  /** A thread waits for this page. */
  | { of: 'fault'; address: number }
  /** It has a child, which has its memory, and a descriptor of its own here. */
  | { of: 'fork'; fd: number }
  | { of: 'moved'; from: number; to: number; length: number }
  /** It gives this part back; what it has there afterwards is empty. */
  | { of: 'removed'; start: number; end: number };

/**
 * Why no page could be put there: there is one; something else about its memory has to be read first; it is not memory that is watched, or not of one
 * kind; the process has ended; its host, or its limit, has no memory for it.
 */
export type Hindrance = 'there' | 'first-read' | 'nowhere' | 'ended' | 'no-memory';

/** What the memory of a process is filled through, while it runs: userfaultfd(2), ioctl_userfaultfd(2). */
export interface Faults {
  readonly fd: number;
  /** What has happened since, in order; those that wait for a page come first. */
  events(): MemoryEvent[];
  /** Puts pages there; whoever waits for one goes on. @returns how many bytes from the first on, or why not even the first */
  copy(address: number, data: Buffer): number | Hindrance;
  /** The same with an empty page. */
  zero(address: number): number | Hindrance;
  /** Has threads that wait for this page look again. */
  wake(address: number): void;
  /** What is not there from now on is empty. */
  close(): void;
}

/** @param fd which whoever made it has registered for missing pages, and which does not wait when it is read */
export function createFaults(c: LibC, fd: number): Faults {
  const messages = Buffer.alloc(MESSAGE * MESSAGES);
  const argument = Buffer.alloc(40);
  /** @param result where the kernel says how far it came */
  const done = (request: number, result: number): number | Hindrance => {
    const failed = c.ioctl(fd, request, argument) !== 0;
    const error = c.errno();
    const bytes = Number(argument.readBigInt64LE(result));
    return !failed || bytes > 0 ? bytes : hindrance(error);
  };
  return {
    fd,
    events() {
      const events: MemoryEvent[] = [];
      for (;;) {
        const length = Number(c.read(fd, messages, messages.length));
        for (let at = 0; at < length; at += MESSAGE) events.push(...eventsOf(messages.subarray(at, at + MESSAGE)));
        if (length < messages.length) return events;
      }
    },
    copy(address, data) {
      // struct uffdio_copy: to, from, length, mode, and how much it was
      [BigInt(address), c.address(data), BigInt(data.length), 0n, 0n].forEach((value, i) => argument.writeBigUInt64LE(value, i * 8));
      return done(COPY, 32);
    },
    zero(address) {
      // struct uffdio_zeropage: start, length, mode, and how much it was
      [BigInt(address), BigInt(PAGE), 0n, 0n].forEach((value, i) => argument.writeBigUInt64LE(value, i * 8));
      return done(ZEROPAGE, 24);
    },
    wake(address) {
      [BigInt(address), BigInt(PAGE)].forEach((value, i) => argument.writeBigUInt64LE(value, i * 8));
      c.ioctl(fd, WAKE, argument);
    },
    close: () => void c.close(fd),
  };
}

function eventsOf(message: Buffer): MemoryEvent[] {
  const number = (at: number): number => Number(message.readBigUInt64LE(at));
  switch (message[0]) {
    case EVENT.fault:
      return [{ of: 'fault', address: number(16) }];
    case EVENT.fork:
      return [{ of: 'fork', fd: message.readUInt32LE(8) }];
    case EVENT.moved:
      return [{ of: 'moved', from: number(8), to: number(16), length: number(24) }];
    case EVENT.removed:
    case EVENT.unmapped:
      return [{ of: 'removed', start: number(8), end: number(16) }];
    default:
      throw new Error(`the kernel tells of something about memory that is not understood: ${message[0]}`);
  }
}

function hindrance(error: number): Hindrance {
  switch (error) {
    case EEXIST:
      return 'there';
    case EAGAIN:
      return 'first-read';
    case ENOENT:
    case EINVAL:
      return 'nowhere';
    // before Linux 4.13 it was the latter
    case ESRCH:
    case ENOSPC:
      return 'ended';
    case ENOMEM:
      return 'no-memory';
    default:
      throw new Error(`memory cannot be put in its place: error ${error}`);
  }
}
