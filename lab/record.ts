import { readdir } from 'node:fs/promises';
import { z } from 'zod';
import { codeOf } from '../driver/host/errors.ts';
import { readIfThere, writeAtomic } from '../driver/host/files.ts';
import { labPlaces, STATE } from './places.ts';
import type { LabSpec } from './spec.ts';

const Record = z.object({
  name: z.string(),
  subnet: z.number(),
  cgroup: z.union([z.literal(1), z.literal(2)]),
  hosts: z.array(z.object({ name: z.string(), address: z.string(), engine: z.union([z.literal(26), z.literal(28)]), store: z.enum(['overlay2', 'containerd']).default('overlay2') })),
  complete: z.boolean(),
  roots: z.record(z.string(), z.string()).default({}),
});

/** A lab's record. */
export type LabRecord = LabSpec & {
  /** Once `up` has come to its end. */
  complete: boolean;
  /** The root file systems its hosts stand on, by engine; empty until they are known. */
  roots: Record<string, string>;
};

export async function readRecord(name: string): Promise<LabRecord | undefined> {
  const text = await readIfThere(labPlaces(name).record);
  return text === undefined ? undefined : Record.parse(JSON.parse(text));
}

export async function writeRecord(record: LabRecord): Promise<void> {
  await writeAtomic(labPlaces(record.name).record, `${JSON.stringify(record, null, 2)}\n`, 0o644);
}

/** Every lab that has a record, whatever became of its hosts. */
export async function allRecords(): Promise<LabRecord[]> {
  const names = await readdir(STATE).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  // what cannot be read is no lab's directory (a lock), or is just being removed
  const records = await Promise.all(names.map((name) => readRecord(name).catch(() => undefined)));
  return records.filter((record) => record !== undefined);
}
