import { closeSync, openSync, writeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { CoatError } from '../../driver/host/errors.ts';
import type { Drain, Peer } from '../agent/peer.ts';
import type { HostSide } from '../criu/host.ts';
import type { PageRequest } from './page.ts';
import { MEMORY } from './ahead.ts';
import { bytesOf, decodeHead, HEAD } from '../transfer/pages.ts';

/**
 * Takes the memory of a container in that still runs at the source. Resolves when it may be sent.
 *
 * @param directory of the restore, on the host
 * @param id of the move
 */
export async function takeAhead(host: HostSide, directory: string, source: Peer, id: string): Promise<Drain> {
  const place = host.path(`${directory}/${MEMORY}`);
  await mkdir(place);
  const intake = new PageIntake(place);
  const way = await source.drain(`/v1/moves/memory?id=${id}`, (bytes) => intake.take(bytes));
  const ended = way.ended.then(() => intake.end()).finally(() => intake.close());
  ended.catch(() => undefined);
  return { ended, destroy: (error) => way.destroy(error) };
}

/**
 * Takes pages that come ahead of a container, in pieces of any size, and puts each at its own address in the file of its process; what comes
 * later is written over what came before. The files are sparse: they take as much as they have pages.
 */
export class PageIntake {
  readonly #directory: string;
  readonly #files = new Map<number, number>();
  readonly #head = Buffer.allocUnsafe(HEAD);
  #headLength = 0;
  #pages: PageRequest | undefined;
  #done = 0;
  #complete = false;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** @throws Error for a page of which nothing is known, or that does not fit */
  take(bytes: Buffer): void {
    for (let rest = bytes; rest.length > 0; ) rest = this.#pages ? this.#takePages(rest, this.#pages) : this.#takeHead(rest);
  }

  /** After the last piece. @throws CoatError `cut-short` */
  end(): void {
    this.close();
    if (!this.#complete) throw new CoatError('cut-short', 'the connection ended before all memory was sent that was to come ahead');
  }

  close(): void {
    for (const file of this.#files.values()) closeSync(file);
    this.#files.clear();
  }

  #takeHead(bytes: Buffer): Buffer {
    if (this.#complete) throw new CoatError('bad-transfer', 'something follows the end of the memory that comes ahead');
    const part = bytes.subarray(0, HEAD - this.#headLength);
    part.copy(this.#head, this.#headLength);
    this.#headLength += part.length;
    if (this.#headLength === HEAD) {
      this.#headLength = 0;
      this.#done = 0;
      const head = decodeHead(this.#head);
      if (head.pages === 0) this.#complete = true;
      else this.#pages = head;
    }
    return bytes.subarray(part.length);
  }

  #takePages(bytes: Buffer, pages: PageRequest): Buffer {
    const part = bytes.subarray(0, bytesOf(pages) - this.#done);
    for (let written = 0; written < part.length; ) written += writeSync(this.#file(pages.pid), part, written, part.length - written, pages.address + this.#done + written);
    this.#done += part.length;
    if (this.#done === bytesOf(pages)) this.#pages = undefined;
    return bytes.subarray(part.length);
  }

  #file(pid: number): number {
    const known = this.#files.get(pid);
    if (known !== undefined) return known;
    const file = openSync(`${this.#directory}/${pid}`, 'w', 0o600);
    this.#files.set(pid, file);
    return file;
  }
}
