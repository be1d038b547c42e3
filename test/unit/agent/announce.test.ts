import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { silent } from '../../../driver/host/log.ts';
import { until } from '../../../driver/host/until.ts';
import { MemoryStore } from '../../../driver/store/memory.ts';
import { announce } from '../../../plugin/agent/announce.ts';

test('a host says who it is when the store comes, and again when that changes', async () => {
  const store = new MemoryStore();
  const ending = new AbortController();
  let routes = ['10.213.9.0/24'];
  const said = async (): Promise<unknown> => (await store.get('hosts/a'))?.value;
  store.away = true;
  const announced = announce(store, async () => ({ name: 'a', address: '192.168.0.1', routes }), silent, ending.signal, 20);
  await sleep(50);
  store.away = false;
  await announced;
  expect(await said()).toEqual({ name: 'a', address: '192.168.0.1', routes: ['10.213.9.0/24'] });
  const { revision } = await store.list('');
  await sleep(100);
  expect((await store.list('')).revision).toBe(revision);
  store.away = true;
  await sleep(50);
  routes = [];
  store.away = false;
  await until('the change', async () => JSON.stringify(await said()) === JSON.stringify({ name: 'a', address: '192.168.0.1', routes: [] }));
  ending.abort();
});
