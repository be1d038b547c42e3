import { closeSync, openSync } from 'node:fs';
import { libc, type LibC } from '../../driver/kernel/libc.ts';
import type { PageRange } from '../criu/pagemap.ts';
import { PAGE } from './page.ts';

/** linux/fs.h, PAGEMAP_SCAN and struct pm_scan_arg: 12 numbers of 8 bytes, by their place. Linux 6.7; kernel Documentation/admin-guide/mm/pagemap.rst. */
const SCAN = 0xc0606610;
const ARGUMENT = 12 * 8;
const [SIZE, MODE, START, END, WALK_END, VECTOR, VECTOR_LENGTH, INVERTED, MASK, ANY_OF, RETURN] = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11];
/** Protects what is found; and refuses where the kernel does not notice what is written to. */
const PROTECT = 1n << 0n;
const ONLY_NOTICED = 1n << 1n;
/** Kinds of pages. */
const WRITTEN = 1n << 1n;
const FILE = 1n << 2n;
const PRESENT = 1n << 3n;
const SWAPPED = 1n << 4n;
const ZERO = 1n << 5n;
/** struct page_region: from, to, kinds. */
const REGION = 24;
const REGIONS = 4096;
const EPERM = 1;

/**
 * The pages of a range with something in them that were written to since they were protected. Pages of zeroes that nobody has written to do not
 * count, nor do those of files.
 *
 * @param proc the process, as `/proc` of the host has it
 * @param protect whether what is found is protected, so that only what is written to from now on is found the next time
 * @param all whether those count that were not written to as well
 * @returns nothing where the kernel does not notice what is written to, in any part of the range
 */
export async function writtenPages(proc: string, range: PageRange, { protect, all }: { protect: boolean; all: boolean }): Promise<PageRange[] | undefined> {
  const scan = await libc();
  const file = openSync(`${proc}/pagemap`, 'r');
  try {
    return look(scan, file, range, ONLY_NOTICED | (protect ? PROTECT : 0n), all ? 0n : WRITTEN);
  } finally {
    closeSync(file);
  }
}

function look(scan: LibC, file: number, range: PageRange, mode: bigint, kind: bigint): PageRange[] | undefined {
  const regions = Buffer.alloc(REGIONS * REGION);
  const argument = Buffer.alloc(ARGUMENT);
  const found: PageRange[] = [];
  const end = BigInt(range.address + range.pages * PAGE);
  for (let start = BigInt(range.address); start < end; start = argument.readBigUInt64LE(WALK_END * 8)) {
    for (const [place, value] of [
      [SIZE, BigInt(ARGUMENT)], [MODE, mode], [START, start], [END, end],
      [VECTOR, scan.address(regions)], [VECTOR_LENGTH, BigInt(REGIONS)],
      // neither zeroes nor a file's
      [MASK, kind | ZERO | FILE], [INVERTED, ZERO | FILE], [ANY_OF, PRESENT | SWAPPED], [RETURN, PRESENT],
    ] as const) argument.writeBigUInt64LE(value, place * 8);
    const count = scan.ioctl(file, SCAN, argument);
    if (count < 0) {
      if (scan.errno() === EPERM) return undefined;
      throw new Error(`the kernel does not say which pages were written to: error ${scan.errno()}`);
    }
    for (let i = 0; i < count; i++) {
      const [from, to] = [regions.readBigUInt64LE(i * REGION), regions.readBigUInt64LE(i * REGION + 8)];
      found.push({ address: Number(from), pages: Number(to - from) / PAGE });
    }
  }
  return found;
}
