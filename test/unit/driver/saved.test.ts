import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { Saved } from '../../../driver/store/saved.ts';
import type { Change, Entry } from '../../../driver/store/store.ts';
import { tempDir } from './support.ts';

let file: string;
let records: Map<string, Entry>;
let saved: Saved;
const journal = (): string => `${file}.journal`;
beforeEach(() => {
  file = join(tempDir(), 'replica.json');
  records = new Map();
  saved = new Saved(file);
});

/** Saves one change, as the replica does. */
async function change(key: string, value: unknown, revision: number, all = false): Promise<void> {
  const entry: Change = { key, value, revision };
  if (value === undefined) records.delete(key);
  else records.set(key, entry);
  await saved.save(revision, all ? 'all' : [entry], records);
}

const loaded = async (): Promise<unknown> => {
  const { revision, entries } = (await new Saved(file).load())!;
  return [revision, entries.map(({ key, value }) => [key, value])];
};

describe('saved records', () => {
  it('are what they were last, of which a change writes only itself', async () => {
    await change('a', 1, 5);
    const whole = readFileSync(file, 'utf8');
    await change('b', 2, 6);
    await change('a', undefined, 7);
    await change('b', 3, 8);
    expect(readFileSync(file, 'utf8')).toBe(whole);
    expect(await loaded()).toEqual([8, [['b', 3]]]);
  });

  it('lose no more than the line that a crash tore', async () => {
    await change('a', 1, 5);
    await change('b', 2, 6);
    appendFileSync(journal(), '{"revision":7,"changes":[{"key":"a","val');
    expect(await loaded()).toEqual([6, [['a', 1], ['b', 2]]]);
    // the next process does not write behind that line
    saved = new Saved(file);
    await change('c', 3, 8);
    expect(await loaded()).toEqual([8, [['a', 1], ['b', 2], ['c', 3]]]);
  });

  it('do not go back to a journal that was folded into the file and could not be removed', async () => {
    await change('a', 1, 5);
    await change('b', 2, 6);
    const old = readFileSync(journal(), 'utf8');
    await change('b', undefined, 7, true);
    expect(existsSync(journal())).toBe(false);
    writeFileSync(journal(), old);
    expect(await loaded()).toEqual([7, [['a', 1]]]);
  });

  it('are folded when the journal has more than they are', async () => {
    for (let revision = 1; revision < 1_003; revision += 1) await saved.save(revision, [{ key: 'a', value: revision, revision }], new Map([['a', { key: 'a', value: revision, revision }]]));
    expect(existsSync(journal())).toBe(false);
    expect(await loaded()).toEqual([1_002, [['a', 1_002]]]);
  });

  it('are none at the beginning', async () => expect(await saved.load()).toBeUndefined());
});
