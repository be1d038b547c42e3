import { Readable } from 'node:stream';
import { extract, type Headers, pack } from 'tar-stream';

/** Smaller ones are configurations and manifests, which say what is in the archive and are always sent, bytes. */
const LARGE = 1 << 16;

/**
 * An image's archive (`docker save`) without the blobs that its reader has. Only archives that name their blobs by digest, as
 * OCI's image layout has it and Docker writes since 25, get smaller.
 *
 * @param has whether the reader has a blob, by its digest; asked once for each that is large
 * @param left filled with the digests of what was left out
 */
export function without(archive: Readable, has: (digest: string) => Promise<boolean>, left: string[]): Readable {
  const [from, to] = [extract(), pack()];
  const pass = async (header: Headers, content: Readable): Promise<void> => {
    const digest = digestOf(header);
    if (digest !== undefined && (await has(digest))) {
      left.push(digest);
      for await (const _ of content);
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const entry = to.entry(header, (error) => (error ? reject(error) : resolve()));
      content.on('error', reject);
      content.pipe(entry);
      // what has no content ends without being read
      content.resume();
    });
  };
  from.on('entry', (header, content, next) => void pass(header, content).then(() => next(), next));
  from.on('finish', () => to.finalize());
  from.on('error', (error) => to.destroy(error));
  archive.on('error', (error) => to.destroy(error));
  archive.pipe(from);
  to.on('close', () => archive.destroy());
  return Readable.from(to as AsyncIterable<Buffer>, { objectMode: false });
}

function digestOf({ name, size = 0, type }: Headers): string | undefined {
  const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name)?.[1];
  return hex === undefined || type !== 'file' || size < LARGE ? undefined : `sha256:${hex}`;
}
