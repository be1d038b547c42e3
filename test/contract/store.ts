import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { ConflictError, type Change, type Store } from '../../driver/store/store.ts';

/** A fresh, empty store, and a second connection to the same one. */
export interface StoreUnderTest {
  store: Store;
  other: Store;
  dispose(): Promise<void>;
}

/** What every implementation of Store promises. */
export function storeContract(name: string, make: () => Promise<StoreUnderTest>): void {
  describe(`a store: ${name}`, () => {
    let under: StoreUnderTest;
    let store: Store;
    beforeEach(async () => {
      under = await make();
      store = under.store;
    });
    afterEach(async () => under.dispose());

    it('gives back what was put, with the revision of the write', async () => {
      const revision = await store.put('hosts/a', { name: 'a', deep: { list: [1, null, 'ü'] } }, 'absent');
      expect(await under.other.get('hosts/a')).toEqual({ key: 'hosts/a', value: { name: 'a', deep: { list: [1, null, 'ü'] } }, revision });
      expect(await store.get('hosts/b')).toBeUndefined();
    });

    it('counts revisions for the whole store', async () => {
      const first = await store.put('a/1', 1, 'any');
      const second = await store.put('b/1', 1, 'any');
      const third = await store.delete('a/1', second - 1);
      expect(second).toBe(first + 1);
      expect(third).toBe(second + 1);
      expect((await store.list('')).revision).toBe(third);
    });

    it('writes only what is as expected', async () => {
      const revision = await store.put('k/1', 'one', 'absent');
      await expect(store.put('k/1', 'two', 'absent')).rejects.toBeInstanceOf(ConflictError);
      await expect(store.put('k/1', 'two', revision + 1)).rejects.toBeInstanceOf(ConflictError);
      await expect(store.put('k/2', 'two', revision)).rejects.toBeInstanceOf(ConflictError);
      const next = await store.put('k/1', 'two', revision);
      await expect(store.put('k/1', 'three', revision)).rejects.toBeInstanceOf(ConflictError);
      expect(await store.get('k/1')).toEqual({ key: 'k/1', value: 'two', revision: next });
      await store.put('k/1', 'four', 'any');
      expect((await store.get('k/1'))?.value).toBe('four');
    });

    it('lets exactly one of many writers win', async () => {
      const writers = Array.from({ length: 10 }, (_, index) => (index % 2 ? store : under.other).put('race', index, 'absent'));
      const results = await Promise.allSettled(writers);
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      for (const result of results) if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(ConflictError);
    });

    it('writes several records at one revision, or none of them', async () => {
      const { revision } = await store.list('');
      const changes: Change[][] = [];
      const watch = under.other.watch('t/', revision + 1, { change: (batch) => void changes.push(batch), lost: () => undefined });
      const first = await store.putAll([{ key: 't/1', value: 1, expected: 'absent' }, { key: 't/2', value: 2, expected: 'any' }]);
      await expect(store.putAll([{ key: 't/1', value: 3, expected: first }, { key: 't/2', value: 3, expected: 'absent' }])).rejects.toBeInstanceOf(ConflictError);
      expect((await store.list('t/')).entries).toEqual([{ key: 't/1', value: 1, revision: first }, { key: 't/2', value: 2, revision: first }]);
      await until('the one change', () => changes.length === 1);
      expect(changes[0]!.map(({ key }) => key).sort()).toEqual(['t/1', 't/2']);
      watch.close();
    });

    it('deletes only what is as expected', async () => {
      const revision = await store.put('k/1', 1, 'absent');
      await expect(store.delete('k/1', revision + 1)).rejects.toBeInstanceOf(ConflictError);
      await expect(store.delete('k/none', 1)).rejects.toBeInstanceOf(ConflictError);
      await store.delete('k/1', revision);
      expect(await store.get('k/1')).toBeUndefined();
      await expect(store.delete('k/1', 'any')).resolves.toBeTypeOf('number');
      await store.put('k/1', 2, 'absent');
    });

    it('lists by prefix, and all with the empty one', async () => {
      for (const key of ['claims/n/2', 'claims/n/1', 'claims/nn/1', 'hosts/a']) await store.put(key, key, 'absent');
      const keys = async (prefix: string) => (await store.list(prefix)).entries.map(({ key }) => key).sort();
      expect(await keys('claims/n/')).toEqual(['claims/n/1', 'claims/n/2']);
      expect(await keys('nothing/')).toEqual([]);
      expect(await keys('')).toEqual(['claims/n/1', 'claims/n/2', 'claims/nn/1', 'hosts/a']);
    });

    it('watches: from a revision on, in order, without gaps, only its prefix', async () => {
      await store.put('w/0', 0, 'any');
      const { revision } = await store.list('w/');
      await store.put('w/1', 1, 'any');
      await store.put('x/1', 1, 'any');
      const seen: Change[] = [];
      const revisions: number[] = [];
      const watch = under.other.watch('w/', revision + 1, {
        change: (changes, at) => {
          seen.push(...changes);
          revisions.push(at);
        },
        lost: (error) => {
          throw error as Error;
        },
      });
      await until('the first change', () => seen.length === 1);
      for (let index = 2; index < 20; index += 1) await store.put(`w/${index % 5}`, index, 'any');
      await store.delete('w/1', 'any');
      await until('all changes', () => seen.length === 20);
      expect(seen.map(({ value }) => value)).toEqual([1, ...Array.from({ length: 18 }, (_, index) => index + 2), undefined]);
      expect(seen.at(-1)).toMatchObject({ key: 'w/1', value: undefined });
      expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
      expect(seen.map((change) => change.revision)).toEqual(revisions);
      watch.close();
      await store.put('w/9', 9, 'any');
      await sleep(100);
      expect(seen).toHaveLength(20);
    });

    it('watches everything with the empty prefix', async () => {
      const seen: string[] = [];
      const { revision } = await store.list('');
      const watch = store.watch('', revision + 1, { change: (changes) => void seen.push(...changes.map(({ key }) => key)), lost: () => undefined });
      await store.put('hosts/a', 1, 'any');
      await store.put('claims/n/1', 1, 'any');
      await until('both changes', () => seen.length === 2);
      expect(seen).toEqual(['hosts/a', 'claims/n/1']);
      watch.close();
    });
  });
}
