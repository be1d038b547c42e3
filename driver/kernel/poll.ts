import { libc } from './libc.ts';

/** poll.h: the same on x64 and arm64. */
const POLLIN = 0x01;
/** struct pollfd. */
const SIZE = 8;

/** Waits for descriptors that Node has no handle for. */
export interface Poll {
  /** Which of them have something, or have ended. @param timeout in ms, in which nothing else of this process has its turn */
  now(descriptors: readonly number[], timeout: number): number[];
  /** The same, and the others have their turns meanwhile. None of the descriptors may be closed before. */
  later(descriptors: readonly number[], timeout: number): Promise<number[]>;
}

/** poll(2). @throws CoatError `no-libc` */
export async function createPoll(): Promise<Poll> {
  const c = await libc();
  return {
    now(descriptors, timeout) {
      const list = listOf(descriptors);
      c.poll(list, descriptors.length, timeout);
      return readyOf(list);
    },
    async later(descriptors, timeout) {
      const list = listOf(descriptors);
      await c.pollLater(list, descriptors.length, timeout);
      return readyOf(list);
    },
  };
}

function listOf(descriptors: readonly number[]): Buffer {
  const list = Buffer.alloc(descriptors.length * SIZE);
  for (const [i, fd] of descriptors.entries()) {
    list.writeInt32LE(fd, i * SIZE);
    list.writeInt16LE(POLLIN, i * SIZE + 4);
  }
  return list;
}

/** A call that was interrupted has filled nothing in. */
function readyOf(list: Buffer): number[] {
  const ready: number[] = [];
  for (let at = 0; at < list.length; at += SIZE) if (list.readInt16LE(at + 6) !== 0) ready.push(list.readInt32LE(at));
  return ready;
}
