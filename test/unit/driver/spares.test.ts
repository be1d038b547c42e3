import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../../../driver/host/until.ts';
import { Claim } from '../../../driver/overlay/records.ts';
import { MemoryStore } from '../../../driver/store/memory.ts';
import { unitHost, type UnitHost } from './support.ts';

const Pool = '10.42.0.0/24';
const KEY = '10.42.0.0-24';
const PoolID = `coat/${Pool}`;
const NetworkID = '447a'.repeat(16);
const LAST = ['10.42.0.254', '10.42.0.253', '10.42.0.252', '10.42.0.251'];

let store: MemoryStore;
let a: UnitHost;
beforeEach(async () => {
  store = new MemoryStore();
  await store.put('hosts/a', { name: 'a', address: '192.168.0.1' }, 'any');
  a = await unitHost(store, 'a');
  await a.call('IpamDriver.RequestPool', { AddressSpace: 'coat', Pool });
  await a.call('NetworkDriver.CreateNetwork', { NetworkID, IPv4Data: [{ AddressSpace: 'coat', Pool }] });
  await restart();
  await until('spare addresses', async () => (await spares()).length === 4);
});
afterEach(() => a.driver.stop());

const claims = async (): Promise<Claim[]> => (await store.list(`claims/${KEY}/`)).entries.map(({ value }) => Claim.parse(value));
const spares = async (): Promise<string[]> => (await claims()).filter(({ spare }) => spare).map(({ ip }) => ip);
const lease = async (Address = ''): Promise<string> => ((await a.call('IpamDriver.RequestAddress', { PoolID, Address })).Address as string).split('/')[0]!;
const release = (Address: string): Promise<unknown> => a.call('IpamDriver.ReleaseAddress', { PoolID, Address });
const endpoint = (EndpointID: string, ip: string): Promise<unknown> => a.call('NetworkDriver.CreateEndpoint', { NetworkID, EndpointID, Interface: { Address: `${ip}/24` } });

async function restart(): Promise<void> {
  await a.driver.stop();
  a = await unitHost(store, 'a', a.stateDir);
}

test('while the store is away containers get spare addresses, each one, until there is none', async () => {
  expect((await spares()).sort()).toEqual([...LAST].sort());
  store.away = true;
  await restart();
  const given = [await lease(), await lease()];
  await endpoint('e1'.repeat(32), given[0]!);
  await a.call('NetworkDriver.Join', { NetworkID, EndpointID: 'e1'.repeat(32) });
  given.push(await lease(), await lease());
  expect([...given].sort()).toEqual([...LAST].sort());
  await expect(lease()).rejects.toThrow('store of the cluster does not answer');

  store.away = false;
  await until('the claim of the endpoint', async () => (await claims()).some(({ ip, mac, spare }) => ip === given[0] && mac !== undefined && !spare));
  // what was given out and never used is spare again, and one more makes up for the one that is not
  await until('as many spare ones as before', async () => (await spares()).length === 4);
  expect(await spares()).not.toContain(given[0]);
});

test('one that was given back meanwhile is not given again before the store knows', async () => {
  store.away = true;
  await restart();
  const first = await lease();
  await endpoint('e1'.repeat(32), first);
  await a.call('NetworkDriver.DeleteEndpoint', { NetworkID, EndpointID: 'e1'.repeat(32) });
  await release(first);
  expect(await lease()).not.toBe(first);
  store.away = false;
  await until('as many spare ones as before', async () => (await spares()).length === 4);
});

test('a spare address can be chosen, and then is none', async () => {
  expect(await lease(LAST[1])).toBe(LAST[1]);
  expect(await spares()).not.toContain(LAST[1]);
  // others are given first
  expect(await lease()).toBe('10.42.0.2');
});

test('a network that is gone has no spare addresses', async () => {
  await a.call('NetworkDriver.DeleteNetwork', { NetworkID });
  await restart();
  await until('the claims to go', async () => (await claims()).length === 0);
});
