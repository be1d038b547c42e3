import { PAGE, type PageRequest } from '../memory/page.ts';

/**
 * Pages on their way from the processes that stand still at the source to the pager at the destination. A request is 16 bytes,
 * process (u32), number of pages (u32), address (u64); the answer the same and the pages. No pages: they are not there any more.
 */
export const HEAD = 16;
/** Asked for at once, pages at most. */
export const MOST_PAGES = 64;

export function encodeHead({ pid, pages, address }: PageRequest): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD);
  bytes.writeUInt32LE(pid, 0);
  bytes.writeUInt32LE(pages, 4);
  bytes.writeBigUInt64LE(BigInt(address), 8);
  return bytes;
}

export function decodeHead(bytes: Buffer): PageRequest {
  return { pid: bytes.readUInt32LE(0), pages: bytes.readUInt32LE(4), address: Number(bytes.readBigUInt64LE(8)) };
}

/** Cuts a stream of bytes into messages: a head of `length` bytes and, after it, as much as `more` says. */
export class Messages<Head> {
  readonly #length: number;
  readonly #decode: (head: Buffer) => Head;
  readonly #more: (head: Head) => number;
  readonly #got: (head: Head, data: Buffer) => void;
  #head: Head | undefined;
  #buffer: Buffer;
  #filled = 0;

  constructor(length: number, decode: (head: Buffer) => Head, more: (head: Head) => number, got: (head: Head, data: Buffer) => void) {
    this.#length = length;
    this.#decode = decode;
    this.#more = more;
    this.#got = got;
    this.#buffer = Buffer.allocUnsafe(length);
  }

  take(bytes: Buffer): void {
    for (let rest = bytes; rest.length > 0; ) {
      const count = rest.copy(this.#buffer, this.#filled);
      this.#filled += count;
      rest = rest.subarray(count);
      if (this.#filled < this.#buffer.length) return;
      this.#whole();
    }
  }

  #whole(): void {
    if (this.#head === undefined) {
      const head = this.#decode(this.#buffer);
      const more = this.#more(head);
      this.#filled = 0;
      if (more > 0) {
        this.#head = head;
        this.#buffer = Buffer.allocUnsafe(more);
      } else this.#got(head, Buffer.alloc(0));
    } else {
      const [head, data] = [this.#head, this.#buffer];
      this.#head = undefined;
      this.#buffer = Buffer.allocUnsafe(this.#length);
      this.#filled = 0;
      this.#got(head, data);
    }
  }
}

export const bytesOf = ({ pages }: PageRequest): number => pages * PAGE;
