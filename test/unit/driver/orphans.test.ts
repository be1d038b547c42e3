import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../../../driver/host/until.ts';
import { MemoryStore } from '../../../driver/store/memory.ts';
import { unitHost, type UnitHost } from './support.ts';

const Pool = '10.42.0.0/24';
const KEY = '10.42.0.0-24';
const PoolID = `coat/${Pool}`;
const NetworkID = '447a'.repeat(16);
const EndpointID = 'a421'.repeat(16);

let store: MemoryStore;
let a: UnitHost;
let b: UnitHost;
beforeEach(async () => {
  store = new MemoryStore();
  for (const [i, name] of ['a', 'b'].entries()) await store.put(`hosts/${name}`, { name, address: `192.168.0.${i + 1}` }, 'any');
  [a, b] = [await unitHost(store, 'a'), await unitHost(store, 'b')];
  for (const host of [a, b]) {
    await host.call('IpamDriver.RequestPool', { AddressSpace: 'coat', Pool });
    await host.call('NetworkDriver.CreateNetwork', { NetworkID, IPv4Data: [{ AddressSpace: 'coat', Pool }] });
  }
  const Address = `${await lease(a)}/24`;
  await a.call('NetworkDriver.CreateEndpoint', { NetworkID, EndpointID, Interface: { Address } });
});
afterEach(async () => {
  await a.driver.stop();
  await b.driver.stop();
});

const lease = async (host: UnitHost): Promise<string> => ((await host.call('IpamDriver.RequestAddress', { PoolID })).Address as string).split('/')[0]!;
const owner = async (ip: string): Promise<unknown> => ((await store.get(`claims/${KEY}/${ip}`))?.value as { host?: string } | undefined)?.host;

async function restart(): Promise<void> {
  await a.driver.stop();
  a = await unitHost(store, 'a', a.stateDir);
}

test('a later life gives back what an earlier one leased without anybody hearing of it, and nothing else', async () => {
  const [orphan, others, moving] = [await lease(a), await lease(b), await lease(a)];
  await store.put(`claims/${KEY}/${moving}`, { network: KEY, ip: moving, host: 'a', epoch: 1, movingTo: 'b' }, 'any');
  await restart();
  await until('the address to be given back', async () => (await owner(orphan)) === undefined);
  expect(await Promise.all(['10.42.0.2', others, moving].map(owner))).toEqual(['a', 'b', 'a']);
});

test('it gives nothing back where it cannot read what it had', async () => {
  const orphan = await lease(a);
  writeFileSync(join(a.stateDir, 'endpoints', `${EndpointID}.json`), '{');
  await restart();
  // a change that comes after all that the start has begun
  await a.driver.settled(await store.put('hosts/c', { name: 'c', address: '192.168.0.3' }, 'any'));
  expect(await Promise.all(['10.42.0.2', orphan].map(owner))).toEqual(['a', 'a']);
});
