import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../../driver/host/until.ts';
import { Offers } from '../../../driver/network/offers.ts';
import { MemoryStore } from '../../../driver/store/memory.ts';
import { unitHost, type UnitHost } from './support.ts';

const SUBNET = '10.42.0.0/24';
const KEY = '10.42.0.0-24';
const PoolID = `coat/${SUBNET}`;

let store: MemoryStore;
let a: UnitHost;
let b: UnitHost;
beforeEach(async () => {
  store = new MemoryStore();
  [a, b] = [await unitHost(store, 'a'), await unitHost(store, 'b')];
});
afterEach(async () => {
  await a.driver.stop();
  await b.driver.stop();
});

const network = (change: object = {}, ipam: object = {}) => ({
  NetworkID: '447a'.repeat(16),
  Options: { 'com.docker.network.generic': {} },
  IPv4Data: [{ AddressSpace: 'coat', Gateway: '10.42.0.1/24', Pool: SUBNET, ...ipam }],
  IPv6Data: [],
  ...change,
});
const prepare = (host: UnitHost): Promise<unknown> => host.call('IpamDriver.RequestPool', { Pool: SUBNET });

describe('networks', () => {
  it('take the VNI and the MTU the user names, and no VNI that another one has', async () => {
    const options = { 'com.docker.network.generic': { vni: '4711', mtu: '1400' } };
    await prepare(a);
    await a.call('NetworkDriver.CreateNetwork', network({ Options: options }));
    expect((await store.get(`networks/${KEY}`))!.value).toMatchObject({ vni: 4711, mtu: 1400 });
    // the agent repeats it with the same options
    await prepare(b);
    await b.call('NetworkDriver.CreateNetwork', network({ Options: options }));
    const other = 'coat/10.43.0.0/24';
    await b.call('IpamDriver.RequestPool', { Pool: '10.43.0.0/24' });
    const second = network({ NetworkID: 'ee', Options: options }, { Pool: '10.43.0.0/24', Gateway: '10.43.0.1/24' });
    await expect(b.call('NetworkDriver.CreateNetwork', second)).rejects.toThrow(/the VNI 4711 belongs to the network 10.42.0.0\/24; choose another/);
    await b.call('IpamDriver.ReleasePool', { PoolID: other });
    expect(await store.get('networks/10.43.0.0-24')).toBeUndefined();
  });

  it('leave nothing when they are removed before anybody knew their name', async () => {
    await prepare(a);
    await a.call('NetworkDriver.CreateNetwork', network());
    await a.call('NetworkDriver.DeleteNetwork', { NetworkID: network().NetworkID });
    expect(await store.get(`networks/${KEY}`)).toBeUndefined();
    await prepare(a);
    await a.call('NetworkDriver.CreateNetwork', network());
    const { value } = (await store.get(`networks/${KEY}`))!;
    await a.driver.settled(await store.put(`networks/${KEY}`, { ...(value as object), name: 'shop' }, 'any'));
    // a named one is on other hosts too, and the agents see to it
    await a.call('NetworkDriver.DeleteNetwork', { NetworkID: network().NetworkID });
    expect(await store.get(`networks/${KEY}`)).toBeDefined();
  });

  it('leave nothing when the agent did not survive their creation', async () => {
    await b.call('IpamDriver.RequestPool', { Pool: '10.50.0.0/24' });
    await prepare(a);
    await a.call('NetworkDriver.CreateNetwork', network());
    await a.call('IpamDriver.RequestPool', { Pool: '10.51.0.0/24' });
    await a.driver.stop();
    a = await unitHost(store, 'a', a.stateDir);
    await until('the draft to go', async () => (await store.get('networks/10.51.0.0-24')) === undefined);
    // another host's is its own business, and what was created stays
    expect((await store.list('networks/')).entries.map(({ key }) => key)).toEqual([`networks/${KEY}`, 'networks/10.50.0.0-24']);
  });

  it('are not brought back by an agent that repeats one which was removed meanwhile', async () => {
    await prepare(a);
    const { number } = (await store.get(`networks/${KEY}`))!.value as { number: number };
    const repeat = (which: number) => b.call('IpamDriver.RequestPool', { Pool: SUBNET, Options: { 'io.coat.repeats': String(which) } });
    await expect(repeat(number)).resolves.toMatchObject({ PoolID });
    await a.call('IpamDriver.ReleasePool', { PoolID });
    await expect(repeat(number)).rejects.toThrow(/the network 10.42.0.0\/24 was removed by another host at the same time/);
    expect(await store.get(`networks/${KEY}`)).toBeUndefined();
    // nor is another one taken for it that has its subnet by now
    await prepare(a);
    await expect(repeat(number)).rejects.toThrow(/was removed/);
    await expect(repeat(number + 1)).resolves.toMatchObject({ PoolID });
  });

  it('leave nothing when their creation was refused, but only to the host that began it', async () => {
    await prepare(a);
    await b.call('IpamDriver.RequestPool', { Pool: SUBNET });
    await b.call('IpamDriver.ReleasePool', { PoolID });
    expect(await store.get(`networks/${KEY}`)).toBeDefined();
    await a.call('IpamDriver.ReleasePool', { PoolID });
    expect(await store.get(`networks/${KEY}`)).toBeUndefined();
  });
});

describe('subnets', () => {
  const any = { AddressSpace: 'coat', Pool: '', SubPool: '', Options: {}, V6: false };

  it('have a subnet that nobody has, if the user names none', async () => {
    await store.put('hosts/c', { name: 'c', address: '192.168.0.3', routes: ['10.213.0.0/23', '10.213.3.7/32'] }, 'any');
    const { revision } = await store.list('');
    await Promise.all([a.driver.settled(revision), b.driver.settled(revision)]);
    await a.call('IpamDriver.RequestPool', { Pool: '10.213.4.0/25' });
    expect(await a.call('IpamDriver.RequestPool', any)).toEqual({ PoolID: 'coat/10.213.2.0/24', Pool: '10.213.2.0/24' });
    expect((await store.get('networks/10.213.2.0-24'))!.value).toMatchObject({ subnet: '10.213.2.0/24', gateway: '10.213.2.1', chosenOn: 'a', maker: 'a' });
    const many = await Promise.all(Array.from({ length: 8 }, (_, index) => (index % 2 ? a : b).call('IpamDriver.RequestPool', any)));
    expect(many.map(({ Pool }) => Pool).sort()).toEqual([10, 11, 12, 5, 6, 7, 8, 9].map((third) => `10.213.${third}.0/24`));
    const records = (await store.list('networks/')).entries.map(({ value }) => (value as { vni: number }).vni);
    expect(new Set(records).size).toBe(10);
  });

  it('let the user choose addresses once the engine was told the subnet', async () => {
    const { Pool, PoolID: id } = (await a.call('IpamDriver.RequestPool', any)) as { Pool: string; PoolID: string };
    const key = Pool.replace('/', '-');
    const create = (host: UnitHost, NetworkID: string) => host.call('NetworkDriver.CreateNetwork', network({ NetworkID }, { Pool, Gateway: '10.213.0.1/24' }));
    await create(a, 'n1');
    await b.call('IpamDriver.RequestPool', { Pool });
    await create(b, 'n2');
    await a.driver.settled((await store.list('')).revision);
    expect([a.driver.letsChoose(key), b.driver.letsChoose(key)]).toEqual([false, true]);
    // a second network with that subnet is refused, and changes nothing
    await a.call('IpamDriver.RequestPool', { Pool });
    expect(a.driver.letsChoose(key)).toBe(false);
    await a.call('IpamDriver.ReleasePool', { PoolID: id });
    await a.call('NetworkDriver.DeleteNetwork', { NetworkID: 'n1' });
    await a.call('IpamDriver.RequestPool', { Pool });
    expect(a.driver.letsChoose(key)).toBe(true);
  });
});

describe('an offer', () => {
  it('is one at a time in a network, and the next waits', async () => {
    const offers = new Offers();
    const order: string[] = [];
    await offers.open('n', '10.0.0.2');
    await offers.open('n', '10.0.0.2');
    await offers.open('m', '10.1.0.2');
    const next = ['10.0.0.3', '10.0.0.4'].map((ip) => offers.open('n', ip).then(() => order.push(ip)));
    offers.close('n', '10.0.0.9');
    await new Promise((resolve) => setImmediate(resolve));
    expect([offers.at('n'), offers.at('m'), order]).toEqual(['10.0.0.2', '10.1.0.2', []]);
    offers.close('n', '10.0.0.2');
    await next[0];
    expect(offers.at('n')).toBe('10.0.0.3');
    offers.close('n', '10.0.0.3');
    await next[1];
    offers.close('n', '10.0.0.4');
    expect([offers.at('n'), order]).toEqual([undefined, ['10.0.0.3', '10.0.0.4']]);
  });
});
