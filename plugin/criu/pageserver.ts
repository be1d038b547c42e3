/**
 * What `criu lazy-pages` says to a page server and wants to hear (criu/page-xfer.c, struct page_server_iov and
 * page_server_get_pages), as of CRIU 4.2: 32 bytes of request; the same 32 bytes and the pages as answer, in the order of the
 * requests. An answer may have fewer pages than were asked for; the rest is asked for again.
 */
export interface PageRequest {
  /** As the container counts. */
  pid: number;
  address: number;
  pages: number;
}

/** Bytes; the only size of pages there is where moves are possible (`features.ts` asks). */
export const PAGE = 4096;
/** command (u32), padding, number of pages (u64), address (u64), process (u64). */
export const REQUEST_LENGTH = 32;

/** The commands of page-xfer.c that a lazy restore uses. */
const GET = 7;
const ADD_WITH_FLAGS = 6;
const FORCE_CLOSE = 0x1024;
/** PE_PRESENT of criu/include/pagemap.h, above the 16 bits of a command. */
const PRESENT = (1 << 2) << 16;

/** @throws Error on anything that a lazy restore does not say */
export function readRequest(bytes: Buffer): PageRequest | 'close' {
  const command = bytes.readUInt32LE(0);
  if (command === FORCE_CLOSE) return 'close';
  if (command !== GET) throw new Error(`CRIU said ${command}, which is not understood`);
  return { pages: Number(bytes.readBigUInt64LE(8)), address: Number(bytes.readBigUInt64LE(16)), pid: Number(bytes.readBigUInt64LE(24)) };
}

/** What goes before the pages. */
export function answerHead({ pid, address, pages }: PageRequest): Buffer {
  const bytes = Buffer.alloc(REQUEST_LENGTH);
  bytes.writeUInt32LE(ADD_WITH_FLAGS | PRESENT, 0);
  bytes.writeBigUInt64LE(BigInt(pages), 8);
  bytes.writeBigUInt64LE(BigInt(address), 16);
  bytes.writeBigUInt64LE(BigInt(pid), 24);
  return bytes;
}

/** To a close: all is well (an int32 of 0). */
export const closeAnswer = (): Buffer => Buffer.alloc(4);
