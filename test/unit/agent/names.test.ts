import { expect, test } from 'vitest';
import { silent } from '../../../driver/host/log.ts';
import type { Claim } from '../../../driver/overlay/records.ts';
import { MemoryStore } from '../../../driver/store/memory.ts';
import { fillNames, lacksNames } from '../../../plugin/agent/names.ts';
import type { Attached, EngineNetworks } from '../../../plugin/engine/networks.ts';

const KEY = '10.42.0.0-24';
const claim = (ip: string, host = 'a', rest: Partial<Claim> = {}): Claim => ({ network: KEY, ip, host, epoch: 1, mac: '02:42:0a:2a:00:02', ...rest });
const attached = (ip: string, ...names: string[]): Attached => ({ container: names[0] ?? '', names, ip, endpoint: ip });

async function world(claims: Claim[], containers: Attached[]) {
  const store = new MemoryStore();
  for (const each of claims) await store.put(`claims/${KEY}/${each.ip}`, each, 'absent');
  const engine = { attached: async () => containers } as unknown as EngineNetworks;
  const fill = (): Promise<void> => fillNames({ me: 'a', store, engine, log: silent, networks: () => new Map([['id', KEY]]) });
  const names = async (): Promise<unknown[]> => (await store.list('claims/')).entries.map(({ value }) => (value as Claim).names);
  return { store, fill, names };
}

test('a host names its own containers, and once', async () => {
  const { store, fill, names } = await world([claim('10.42.0.2'), claim('10.42.0.3', 'b'), claim('10.42.0.4')], [attached('10.42.0.2', 'web', 'www'), attached('10.42.0.3', 'stale'), attached('10.42.0.4')]);
  await fill();
  expect(await names()).toEqual([['web', 'www'], undefined, undefined]);
  const { revision } = await store.list('');
  await fill();
  expect((await store.list('')).revision).toBe(revision);
});

test('a new name replaces the old one, and a move that is under way stays', async () => {
  const { store, fill, names } = await world([claim('10.42.0.2', 'a', { movingTo: 'b', container: 'old', names: ['old'] })], [attached('10.42.0.2', 'new')]);
  await fill();
  expect(await names()).toEqual([['new']]);
  expect((await store.get(`claims/${KEY}/10.42.0.2`))?.value).toMatchObject({ movingTo: 'b', container: 'new' });
});

test('a store that is away is a reason to try again', async () => {
  const { store, fill } = await world([claim('10.42.0.2')], [attached('10.42.0.2', 'web')]);
  store.away = true;
  await expect(fill()).rejects.toMatchObject({ code: 'store-away' });
});

test('who lacks names is a container of this host', () => {
  expect(lacksNames([claim('10.42.0.2', 'b'), claim('10.42.0.3', 'a', { names: ['x'] }), { network: KEY, ip: '10.42.0.4', host: 'a', epoch: 1 }], 'a')).toBe(false);
  expect(lacksNames([claim('10.42.0.2')], 'a')).toBe(true);
});
