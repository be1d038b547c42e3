import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { allDone } from '../../../lab/done.ts';

test('gives every result, in order', async () => {
  expect(await allDone([sleep(5, 'a'), Promise.resolve(2)])).toEqual(['a', 2]);
});

test('throws the first failure, but not before all have come to their end', async () => {
  let ended = false;
  const slow = sleep(30).then(() => (ended = true));
  await expect(allDone([slow, Promise.reject(new Error('one')), Promise.reject(new Error('two'))])).rejects.toThrow('one');
  expect(ended).toBe(true);
});
