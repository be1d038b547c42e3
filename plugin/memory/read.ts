import { readSync } from 'node:fs';
import { PAGE, type PageRequest } from './page.ts';

/**
 * Reads pages of a process.
 *
 * @param file in which they lie at their own addresses: its `mem` (proc_pid_mem(5)), or what came of it ahead
 * @returns how many bytes: all, or 0 where they cannot all be read
 */
export function readMemory(file: number | undefined, { address, pages }: Pick<PageRequest, 'address' | 'pages'>, into: Buffer): number {
  const length = pages * PAGE;
  if (file === undefined || length > into.length) return 0;
  try {
    for (let done = 0; done < length; ) {
      const count = readSync(file, into, done, length - done, address + done);
      if (count === 0) return 0;
      done += count;
    }
    return length;
  } catch {
    return 0;
  }
}
