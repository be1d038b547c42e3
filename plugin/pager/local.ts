import { openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PAGE, type PageRequest } from '../memory/page.ts';
import { AHEAD, type AheadImage, MEMORY, pagesOf } from '../memory/ahead.ts';
import type { Ranges } from '../memory/ranges.ts';
import { readMemory } from '../memory/read.ts';

/** Pages that came ahead of the container. */
export interface Ahead {
  /** So many bytes of the others may come when it runs already; all where nothing is said. */
  wait: number;
  /** Those of a process that count. */
  pages(pid: number): Ranges;
  /** As many of them, from the first on, as are read at once; good until the next are read. */
  read(request: PageRequest): Buffer;
}

/** Read at once, at most. */
const MOST_PAGES = 64;

/** Of a move in which nothing came ahead, nothing of which is waited for. */
export const NOTHING: Ahead = { wait: 0, pages: () => [], read: () => Buffer.alloc(0) };

/** @param directory of the restore */
export function readAhead(directory: string): Ahead {
  const image = imageIn(directory);
  if (!image) return NOTHING;
  const room = Buffer.allocUnsafeSlow(MOST_PAGES * PAGE);
  const files = new Map<number, number>();
  const fileOf = (pid: number): number => {
    const file = files.get(pid) ?? openSync(join(directory, MEMORY, String(pid)), 'r');
    files.set(pid, file);
    return file;
  };
  return {
    wait: image.wait ?? Infinity,
    pages: (pid) => pagesOf(image, pid),
    read({ pid, address, pages }) {
      const length = readMemory(fileOf(pid), { address, pages: Math.min(pages, MOST_PAGES) }, room);
      if (length === 0) throw new Error(`memory of process ${pid} that came ahead is not there`);
      return room.subarray(0, length);
    },
  };
}

function imageIn(directory: string): AheadImage | undefined {
  try {
    return JSON.parse(readFileSync(join(directory, 'images', AHEAD), 'utf8')) as AheadImage;
  } catch {
    return undefined;
  }
}
