import { readdir } from 'node:fs/promises';
import { z } from 'zod';
import { readIfThere, removeIfThere, writeAtomic } from '../../driver/host/files.ts';
import { KeyedQueue } from '../../driver/host/queue.ts';
import { type Migration, MigrationDetails, type MigrationFilter, REMEMBERED } from '../agent/api.ts';

/** A host may have been on an older version: what it wrote more of is passed over. */
const Kept = z.looseObject(MigrationDetails.shape);

/** `<ms since 1970, 13 digits>.<id>.json`, so that names sort by age (13 digits do until the year 2286). */
const NAME = /^(\d{13})\.([0-9a-z-]{1,64})\.json$/;

/** What became of the moves of a host: one small file each, the newest {@link REMEMBERED} of them. */
export class History {
  readonly #directory: string;
  readonly #queue = new KeyedQueue();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Remembers a move, in the place of what was known of it. */
  async write(details: MigrationDetails): Promise<void> {
    await this.#queue.run(details.id, () => writeAtomic(`${this.#directory}/${nameOf(details)}`, JSON.stringify(details)));
    await this.#forget();
  }

  async read(id: string): Promise<MigrationDetails | undefined> {
    const name = (await this.#names()).find((each) => NAME.exec(each)?.[2] === id);
    return name === undefined ? undefined : this.#readFile(name);
  }

  /** Newest first, as many as are wanted of those that fit. */
  async list(filter: MigrationFilter = {}): Promise<MigrationDetails[]> {
    const found: MigrationDetails[] = [];
    for (const name of (await this.#names()).reverse()) {
      if (found.length >= (filter.limit ?? REMEMBERED)) break;
      const details = await this.#readFile(name);
      if (details !== undefined && fits(details, filter)) found.push(details);
    }
    return found;
  }

  async #readFile(name: string): Promise<MigrationDetails | undefined> {
    const text = await readIfThere(`${this.#directory}/${name}`);
    if (text === undefined) return undefined;
    try {
      return Kept.parse(JSON.parse(text));
    } catch {
      // nobody needs it to end anything right
      return undefined;
    }
  }

  async #forget(): Promise<void> {
    const names = await this.#names();
    for (const name of names.slice(0, Math.max(0, names.length - REMEMBERED))) await removeIfThere(`${this.#directory}/${name}`);
  }

  /** Oldest first. */
  async #names(): Promise<string[]> {
    const names = await readdir(this.#directory).catch(() => []);
    return names.filter((name) => NAME.test(name)).sort();
  }
}

const nameOf = ({ started, id }: MigrationDetails): string => {
  const name = `${String(Math.round(started)).padStart(13, '0')}.${id}.json`;
  if (!NAME.test(name)) throw new Error(`not a migration id: ${id}`);
  return name;
};

export function fits(move: Migration, { state, host, container }: MigrationFilter): boolean {
  if (state !== undefined && (move.ended === undefined) !== (state === 'running')) return false;
  if (host !== undefined && move.from !== host && move.to !== host) return false;
  return container === undefined || move.container === container;
}

/** Of what several hosts know, each move once, newest first: who knows its end knows more. */
export function merged(lists: readonly (readonly Migration[])[], limit: number): Migration[] {
  const known = new Map<string, Migration>();
  for (const move of lists.flat()) {
    const other = known.get(move.id);
    if (other === undefined || (other.ended === undefined && move.ended !== undefined)) known.set(move.id, move);
  }
  return [...known.values()].sort((a, b) => b.started - a.started || (a.id < b.id ? -1 : 1)).slice(0, limit);
}
