import { Readable } from 'node:stream';
import { Reader } from './reader.ts';

/** Smaller ones are configurations and manifests, which say what is in the archive and are always sent, bytes. */
const LARGE = 1 << 16;
/** Everything in an archive is padded to this, and it ends with blocks of nothing (tar(5), POSIX ustar). */
const BLOCK = 512;
/** Kinds of entries that say more about the next one: long names of GNU tar, and POSIX's attributes. */
const ABOUT_NEXT = 'LKx';

/**
 * An image's archive (`docker save`) without the blobs that its reader has. Only archives that name their blobs by digest, as
 * OCI's image layout has it and Docker writes since 25, get smaller. What goes through is not changed.
 *
 * @param has whether the reader has a blob, by its digest; asked once for each that is large
 * @param left filled with the digests of what was left out
 */
export function without(archive: Readable, has: (digest: string) => Promise<boolean>, left: string[]): Readable {
  return Readable.from(filtered(archive, has, left), { objectMode: false });
}

async function* filtered(archive: Readable, has: (digest: string) => Promise<boolean>, left: string[]): AsyncGenerator<Buffer> {
  try {
    const reader = new Reader(archive);
    let before: Buffer[] = [];
    let stated: number | undefined;
    for (;;) {
      const head = await reader.exactly(BLOCK);
      if (head.every((byte) => byte === 0)) {
        yield head;
        yield* reader.remaining();
        return;
      }
      const { name, kind, size } = entryOf(head, stated);
      if (ABOUT_NEXT.includes(kind)) {
        const body = await reader.exactly(padded(size));
        before.push(head, body);
        if (kind === 'x') stated = sizeIn(body.subarray(0, size)) ?? stated;
        continue;
      }
      const digest = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name)?.[1];
      const leave = digest !== undefined && size >= LARGE && (await has(`sha256:${digest}`));
      if (leave) left.push(`sha256:${digest}`);
      else yield* [...before, head];
      for (let missing = padded(size); missing > 0; ) {
        const part = await reader.some(missing);
        if (part.length === 0) await reader.exactly(1);
        missing -= part.length;
        if (!leave) yield part;
      }
      [before, stated] = [[], undefined];
    }
  } finally {
    archive.destroy();
  }
}

const padded = (size: number): number => Math.ceil(size / BLOCK) * BLOCK;

/** Of a header: name (100 bytes at 0), size (12 at 124, octal, or with its highest bit set a binary number), kind (1 at 156). */
function entryOf(head: Buffer, stated: number | undefined): { name: string; kind: string; size: number } {
  const field = head.subarray(124, 136);
  const size = field[0]! & 0x80 ? Number(field.readBigUInt64BE(4)) : Number.parseInt(field.toString('latin1'), 8) || 0;
  return { name: head.toString('utf8', 0, 100).replace(/\0.*$/s, ''), kind: String.fromCharCode(head[156]!), size: stated ?? size };
}

/** What a POSIX header says of a size that has no room in the next one (pax(1), "size"). */
function sizeIn(attributes: Buffer): number | undefined {
  const size = /(?:^|\n)\d+ size=(\d+)\n/.exec(attributes.toString('latin1'))?.[1];
  return size === undefined ? undefined : Number(size);
}
