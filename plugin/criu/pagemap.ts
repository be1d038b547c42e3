/** Pages of one process that lie beside each other. */
export interface PageRange {
  address: number;
  pages: number;
}

/** PE_LAZY of criu/include/pagemap.h. */
const LAZY = 1 << 1;
/** Two magic numbers before the first entry (criu/image.c). */
const MAGIC = 8;

/** Name of the image that says which pages a process has: `pagemap-<pid>.img`. @returns the pid, as the container counts */
export function pagemapOf(name: string): number | undefined {
  const pid = /^pagemap-(\d+)\.img$/.exec(name)?.[1];
  return pid === undefined ? undefined : Number(pid);
}

/**
 * The pages that a dump has left where they were, in the order of their addresses (images/pagemap.proto: after a head come
 * entries of vaddr = 1, compat_nr_pages = 2, flags = 4, nr_pages = 5).
 *
 * @param image the whole file
 */
export function lazyRanges(image: Buffer): PageRange[] {
  const ranges: PageRange[] = [];
  let head = true;
  for (let at = MAGIC; at + 4 <= image.length; head = false) {
    const end = at + 4 + image.readUInt32LE(at);
    if (!head) {
      const fields = varints(image.subarray(at + 4, end));
      if ((fields.get(4) ?? 0) & LAZY) ranges.push({ address: fields.get(1) ?? 0, pages: fields.get(5) ?? fields.get(2) ?? 0 });
    }
    at = end;
  }
  return ranges;
}

/** The fields of a message that has nothing but numbers (protobuf encoding, wire type 0). */
function varints(message: Buffer): Map<number, number> {
  const fields = new Map<number, number>();
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++];
      if (byte === undefined) throw new Error('a page map ends in the middle');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const key = next();
    if (key % 8 !== 0) throw new Error('a page map has a field that is not a number');
    fields.set(Math.floor(key / 8), next());
  }
  return fields;
}
