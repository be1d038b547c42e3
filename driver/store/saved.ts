import { open } from 'node:fs/promises';
import { z } from 'zod';
import { Queue } from '../host/queue.ts';
import { readIfThere, removeIfThere, writeAtomic } from '../host/files.ts';
import type { Change, Entry, Snapshot } from './store.ts';

const Record = z.object({ key: z.string(), value: z.unknown().optional(), revision: z.number() });
const Whole = z.object({ revision: z.number(), entries: z.array(Record) });
/** One line of the journal. A deleted record has no value. */
const Line = z.object({ revision: z.number(), changes: z.array(Record) });

/** With fewer changes than this the journal is not folded into the file, however few records there are. */
const SHORTEST = 1_000;

/**
 * Records on disk: a file with all of them, and beside it a journal of what has changed since, so that a change costs what it
 * changes. The journal is folded into the file when it has as many changes as that has records.
 *
 * After a crash there is what the last {@link Saved.save} that resolved has written, or something later.
 */
export class Saved {
  readonly #file: string;
  readonly #journal: string;
  readonly #writes = new Queue();
  /** Changes in the journal; `undefined` until the file was written by this process. */
  #length: number | undefined;

  constructor(file: string) {
    this.#file = file;
    this.#journal = `${file}.journal`;
  }

  /** @returns `undefined` where there is nothing. @throws where the file is damaged; a journal whose end is, is read up to there */
  async load(): Promise<Snapshot | undefined> {
    const text = await readIfThere(this.#file);
    if (text === undefined) return undefined;
    const { revision, entries } = Whole.parse(JSON.parse(text));
    const records = new Map(entries.map(({ key, value, revision: at }): [string, Entry] => [key, { key, value, revision: at }]));
    let latest = revision;
    for (const line of ((await readIfThere(this.#journal)) ?? '').split('\n')) {
      const read = parse(line);
      if (!read) break;
      for (const { key, value, revision: at } of read.changes) {
        // one of a journal that a crash kept from being removed
        if (at <= revision) continue;
        if (value === undefined) records.delete(key);
        else records.set(key, { key, value, revision: at });
      }
      latest = Math.max(latest, read.revision);
    }
    return { revision: latest, entries: [...records.values()] };
  }

  /**
   * @param revision every change up to it is in here
   * @param changes since the last save, in order; `'all'` where that is not known
   * @param entries all records there are now
   */
  save(revision: number, changes: readonly Change[] | 'all', entries: ReadonlyMap<string, Entry>): Promise<void> {
    return this.#writes.run(async () => {
      if (changes === 'all' || this.#length === undefined || this.#length + changes.length > Math.max(SHORTEST, entries.size)) {
        await writeAtomic(this.#file, JSON.stringify({ revision, entries: [...entries.values()] }));
        await removeIfThere(this.#journal);
        this.#length = 0;
        return;
      }
      // if it fails, a part of a line may be there, and what comes after would be lost with it
      const length = this.#length;
      this.#length = undefined;
      await append(this.#journal, `${JSON.stringify({ revision, changes })}\n`);
      this.#length = length + changes.length;
    });
  }
}

function parse(line: string): z.infer<typeof Line> | undefined {
  try {
    return Line.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}

async function append(path: string, text: string): Promise<void> {
  const file = await open(path, 'a', 0o600);
  try {
    await file.writeFile(text);
    await file.datasync();
  } finally {
    await file.close();
  }
}
