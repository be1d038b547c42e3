import { readdir } from 'node:fs/promises';
import { z } from 'zod';
import { readIfThere, removeIfThere, writeAtomic } from '../../driver/host/files.ts';
import { KeyedQueue } from '../../driver/host/queue.ts';
import { strategies } from '../agent/api.ts';
import { Address } from './claims.ts';
import { SentLog } from './log/send.ts';

/**
 * What a host must remember of a migration to end it right after a crash. Written before the effect it announces.
 *
 * The destination's `running` is the commit: from there on the container is the destination's, and the source may only
 * clean up. `aborted` is a promise never to commit: the source may thaw.
 */
export const JournalEntry = z.discriminatedUnion('role', [
  z.object({
    role: z.literal('source'),
    id: z.string(),
    container: z.string(),
    containerId: z.string(),
    peer: z.string(),
    endpoints: z.array(Address),
    /** Set aside while the container moves, so that its end at the source restarts nothing. */
    restartPolicy: z.object({ Name: z.string().optional(), MaximumRetryCount: z.number().optional() }).optional(),
    /**
     * `moving`: the destination cannot have everything yet. `doubt`: it can, only it knows. `left`: it runs there.
     * `lending`: it runs there, and memory of it is still here, in processes that must stand still.
     * `withdrawing`: it goes on here, but records or engine do not say so yet. `withdrawn`: all is as it was here, and the destination has not
     * heard of it.
     */
    state: z.enum(['moving', 'doubt', 'lending', 'left', 'withdrawing', 'withdrawn']),
    keep: z.boolean(),
    strategy: z.enum(strategies).default('cold'),
    /** Volumes that go with it, and are removed here when it has left. */
    volumes: z.array(z.string()).default([]),
    /** What is there of its log; the rest is sent when it has ended here. */
    log: SentLog.optional(),
  }),
  z.object({
    role: z.literal('destination'),
    id: z.string(),
    container: z.string(),
    /** Absent until Docker has made it. */
    containerId: z.string().optional(),
    peer: z.string(),
    endpoints: z.array(Address),
    /** Volumes that are taken back where the move is. */
    volumes: z.array(z.object({ name: z.string(), made: z.boolean(), filled: z.boolean() })).default([]),
    state: z.enum(['arriving', 'running', 'aborted']),
    /** Of a container that runs before its memory is there; see {@link Outcome}. */
    pages: z.string().optional(),
    /** Whether the source needs this no more, and it stays only until the store says that the addresses are this host's. */
    finished: z.boolean().optional(),
  }),
]);
export type JournalEntry = z.infer<typeof JournalEntry>;
export type SourceEntry = Extract<JournalEntry, { role: 'source' }>;
export type DestinationEntry = Extract<JournalEntry, { role: 'destination' }>;

/**
 * One small file a migration and host, flushed to disk before {@link Journal.write} returns. Of one migration, what was asked last is what the file
 * says in the end.
 */
export class Journal {
  readonly #directory: string;
  readonly #queue = new KeyedQueue();

  constructor(directory: string) {
    this.#directory = directory;
  }

  async write(entry: JournalEntry): Promise<void> {
    await this.#queue.run(entry.id, () => writeAtomic(this.#file(entry.id), JSON.stringify(entry)));
  }

  async read(id: string): Promise<JournalEntry | undefined> {
    const text = await readIfThere(this.#file(id));
    return text === undefined ? undefined : JournalEntry.parse(JSON.parse(text));
  }

  async remove(id: string): Promise<void> {
    await this.#queue.run(id, () => removeIfThere(this.#file(id)));
  }

  async all(): Promise<JournalEntry[]> {
    const names = await readdir(this.#directory).catch(() => []);
    const entries = await Promise.all(names.filter((name) => name.endsWith('.json')).map((name) => this.read(name.slice(0, -5))));
    return entries.filter((entry) => entry !== undefined);
  }

  #file(id: string): string {
    if (!/^[0-9a-z-]{1,64}$/.test(id)) throw new Error(`not a migration id: ${id}`);
    return `${this.#directory}/${id}.json`;
  }
}
