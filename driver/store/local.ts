import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { CoatError, codeOf } from '../host/errors.ts';
import { readIfThere, removeIfThere, writeAtomic } from '../host/files.ts';
import type { Log } from '../host/log.ts';
import { KeyedQueue } from '../host/queue.ts';

/**
 * Records of this host alone, one JSON file each, all in memory as well. Docker tells a driver
 * things once and never repeats them (libnetwork does not replay CreateNetwork), so what it said is
 * written down before it is answered.
 */
export class LocalRecords<T extends { id: string }> {
  readonly #directory: string;
  readonly #schema: z.ZodType<T>;
  readonly #records = new Map<string, T>();
  readonly #writes = new KeyedQueue();

  constructor(directory: string, schema: z.ZodType<T>) {
    this.#directory = directory;
    this.#schema = schema;
  }

  /** Whether all that was written could be read again. */
  whole = true;

  /** Reads all files. One that cannot be read is logged and left alone: it must not keep the others from working. */
  async load(log: Log): Promise<void> {
    for (const file of await filesIn(this.#directory)) {
      if (!file.endsWith('.json')) continue;
      try {
        const record = this.#schema.parse(JSON.parse((await readIfThere(join(this.#directory, file))) ?? 'null'));
        this.#records.set(record.id, record);
      } catch (error) {
        this.whole = false;
        log.error({ err: error, file: join(this.#directory, file) }, 'a local record cannot be read');
      }
    }
  }

  get(id: string): T | undefined {
    return this.#records.get(id);
  }

  values(): T[] {
    return [...this.#records.values()];
  }

  find(matches: (record: T) => boolean): T | undefined {
    return this.values().find(matches);
  }

  /** In memory at once, on disk when the promise resolves. */
  async set(record: T): Promise<void> {
    const path = this.#path(record.id);
    this.#records.set(record.id, record);
    await this.#writes.run(record.id, () => writeAtomic(path, `${JSON.stringify(record, null, 2)}\n`));
  }

  /** Deleting what is not there is fine. */
  async delete(id: string): Promise<void> {
    const path = this.#path(id);
    this.#records.delete(id);
    await this.#writes.run(id, () => removeIfThere(path));
  }

  #path(id: string): string {
    if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(id)) throw new CoatError('bad-id', `"${id.slice(0, 140)}" is not an id`);
    return join(this.#directory, `${id}.json`);
  }
}

async function filesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}
