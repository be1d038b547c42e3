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
  hosts: z.array(z.object({ name: z.string(), address: z.string(), engine: z.union([z.literal(26), z.literal(28)]) })),
  complete: z.boolean(),
});

/** A lab's record; `complete` once `up` has come to its end. */
export type LabRecord = LabSpec & { complete: boolean };

export async function readRecord(name: string): Promise<LabRecord | undefined> {
  const text = await readIfThere(labPlaces(name).record);
  return text === undefined ? undefined : Record.parse(JSON.parse(text));
}

export async function writeRecord(spec: LabSpec, complete: boolean): Promise<void> {
  await writeAtomic(labPlaces(spec.name).record, `${JSON.stringify({ ...spec, complete }, null, 2)}\n`, 0o644);
}

/** Every lab that has a record, whatever became of its hosts. */
export async function allRecords(): Promise<LabRecord[]> {
  const names = await readdir(STATE).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  const records = await Promise.all(names.map((name) => readRecord(name).catch(() => undefined)));
  return records.filter((record) => record !== undefined);
}
