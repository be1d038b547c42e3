import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { operate, operation, renameOperation } from '../../../driver/host/operation.ts';

test('all that is done as one operation has its id, also later, and nothing else has', async () => {
  const ids = await Promise.all([1, 2].map((each) => operate(async () => {
    const before = operation();
    await sleep(each);
    expect(operation()).toBe(before);
    return before;
  })));
  expect(new Set(ids).size).toBe(2);
  expect(ids[0]).toMatch(/^[0-9a-f]{12}$/);
  expect(operation()).toBeUndefined();
});

test("another host's id is taken over if it can be one", () => {
  expect(operate(operation, '0193-abc')).toBe('0193-abc');
  for (const wrong of ['', 'a b', 'x"', 'a'.repeat(65), '\u0007']) expect(operate(operation, wrong)).toMatch(/^[0-9a-f]{12}$/);
});

test('an operation that turns out to be a move has the id of it from then on', async () => {
  await operate(async () => {
    const later = sleep(5).then(() => operation());
    renameOperation('m1');
    expect(await later).toBe('m1');
  });
  renameOperation('nobody');
  expect(operation()).toBeUndefined();
});
