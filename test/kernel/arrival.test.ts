import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { createKernel } from '../../driver/kernel/kernel.ts';
import { MemoryStore } from '../../driver/store/memory.ts';
import type { TestContainer } from '../support/caller.ts';
import { Netns } from '../support/netns.ts';
import { TestHosts, type TestHost } from '../support/netns-hosts.ts';
import { PING, RECORD, RECORDED } from '../support/scripts.ts';

const KEY = '10.42.0.0-24';
const range = (count: number, from = 0): number[] => Array.from({ length: count }, (_, index) => from + index);

let store: MemoryStore;
let all: TestHosts;
let a: TestHost;
let b: TestHost;
let na: string;
let nb: string;
/** Lives on a, and sends. */
let client: TestContainer;
/** Lives on a, and is moved to b. */
let server: TestContainer;
let name: string;

beforeEach(async () => {
  store = new MemoryStore();
  all = await TestHosts.create(store, ['a', 'b']);
  [a, b] = all.hosts as [TestHost, TestHost];
  [na, nb] = [await a.engine.createNetwork(), await b.engine.createNetwork()];
  client = await a.engine.run(na);
  server = await a.engine.run(na);
  name = `coat-t-${randomBytes(4).toString('hex')}`;
});
afterEach(async () => {
  await b.driver.forget(KEY, server.ip);
  await all[Symbol.asyncDispose]();
});

const path = (): string => `claims/${KEY}/${server.ip}`;
const claim = async (change: object): Promise<void> => {
  const { value, revision } = (await store.get(path()))!;
  await all.settled(await store.put(path(), { ...(value as object), ...change }, revision));
};
const arrive = async (): Promise<void> => {
  await claim({ movingTo: 'b' });
  await b.driver.expect({ network: KEY, ip: server.ip, mac: server.mac, prefixLength: 24, interfaceName: 'eth0', netns: name, ifindex: 17 });
};
/** As a move does it: the destination takes frames in first, the source shuts its door last. */
const redirectToB = async (): Promise<void> => {
  await b.driver.accept(KEY, server.ip);
  await claim({ redirect: 'b' });
  await a.driver.cut(KEY, server.ip);
};
const send = (count: number, every = 1): Promise<number[]> => client.netns.eval(PING, server.ip, count, every, 50);

/** The namespace that the driver made. */
const inside = {
  kernel: () => createKernel(`/run/coat/netns/${name}`),
  recorded: async (): Promise<number[]> => JSON.parse((await inside.kernel().run([process.execPath, '-e', RECORDED])).stdout) as number[],
};

async function record(): Promise<AsyncDisposable> {
  const child = spawn('nsenter', [`--net=/run/coat/netns/${name}`, '--', process.execPath, '-e', RECORD], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return { [Symbol.asyncDispose]: async () => void child.kill('SIGKILL') };
}

describe('an arrival', () => {
  it('on offer goes to who has its MAC, and to nobody else', async () => {
    await b.driver.offer(KEY, server.ip);
    const ask = async (): Promise<string> => (await b.engine.call<{ Address: string }>('IpamDriver.RequestAddress', { PoolID: 'coat/10.42.0.0/24', Address: '', Options: null })).Address;
    const create = (MacAddress: string): Promise<unknown> =>
      b.engine.call('NetworkDriver.CreateEndpoint', { NetworkID: nb, EndpointID: randomBytes(32).toString('hex'), Interface: { Address: `${server.ip}/24`, AddressIPv6: '', MacAddress }, Options: {} });
    // nothing has arrived, so nothing is on offer
    expect(await ask()).not.toBe(`${server.ip}/24`);
    await arrive();
    await b.driver.offer(KEY, server.ip);
    expect(await ask()).toBe(`${server.ip}/24`);
    for (const mac of ['', '02:42:00:00:00:99']) await expect(create(mac)).rejects.toThrow(/meant for a container that comes to this host.*try again/);
    await b.engine.call('IpamDriver.ReleaseAddress', { PoolID: 'coat/10.42.0.0/24', Address: server.ip });
    expect(await ask()).toBe(`${server.ip}/24`);
    expect(await create(server.mac)).toEqual({ Interface: {} });
    expect(await ask()).not.toBe(`${server.ip}/24`);
    await expect(create(server.mac)).rejects.toThrow(/is being moved here/);
  });

  it('holds every frame from the redirect on and lets them go in order', async () => {
    await arrive();
    await using recorder = await record();
    expect(recorder).toBeTruthy();
    await redirectToB();
    await send(200);
    await sleep(200);
    expect(await inside.recorded()).toEqual([]);

    // the name goes with the release
    await using held = await keep(name);
    await b.driver.release(KEY, server.ip);
    const recorded = async (): Promise<number[]> => JSON.parse(await held.run(process.execPath, '-e', RECORDED)) as number[];
    await until('only the ways out that Docker made', async () => !(await held.run('ip', 'route')).includes('proto 203'), { timeout: 2_000 });
    await until('the held frames', async () => (await recorded()).length >= 200, { timeout: 2_000 });
    expect(await recorded()).toEqual(range(200));
    // and then normal: the namespace's name is gone, frames pass at once
    await until('the name to go', () => !existsSync(`/run/coat/netns/${name}`), { timeout: 3_000 });
    await send(5);
    expect((await recorded()).length).toBe(205);
  });

  it('loses nothing and mixes up nothing when it is released under fire', async () => {
    await arrive();
    await using recorder = await record();
    expect(recorder).toBeTruthy();
    await using held = await keep(name);
    await redirectToB();
    const sending = send(600);
    await sleep(250);
    await b.driver.release(KEY, server.ip);
    await sending;
    const got = JSON.parse(await held.run(process.execPath, '-e', RECORDED)) as number[];
    expect(got).toEqual([...got].sort((x, y) => x - y));
    expect(got.length).toBe(600);
  });

  it('finds one door open at every moment of its redirect', async () => {
    await arrive();
    await using recorder = await record();
    expect(recorder).toBeTruthy();
    await server.netns.start(RECORD);
    const at = async (place: Pick<Netns, 'run'>): Promise<number[]> => JSON.parse(await place.run(process.execPath, '-e', RECORDED)) as number[];
    // fewer frames than a socket's buffer takes at once
    const sending = send(250, 2);
    await until('the first frames', async () => (await at(server.netns)).length > 0);
    await redirectToB();
    await sending;
    await using held = await keep(name);
    await b.driver.release(KEY, server.ip);
    const first = await at(server.netns);
    await until('the rest', async () => first.length + (await at(held)).length >= 250, { timeout: 2_000 });
    expect([...first, ...(await at(held))]).toEqual(range(250));
  });

  it('has the interface as it was at the source', async () => {
    await arrive();
    const [link] = JSON.parse((await inside.kernel().run(['ip', '-j', 'address', 'show', 'dev', 'eth0'])).stdout) as { ifindex: number; address: string; mtu: number; addr_info: { local: string; prefixlen: number }[] }[];
    expect(link).toMatchObject({ ifindex: 17, address: server.mac, mtu: b.driver.replica.networks.get(KEY)!.mtu, addr_info: [{ family: 'inet', local: server.ip, prefixlen: 24 }] });
    // what is restored may have a connection to the world; Docker's own way out takes precedence over it
    const waysOut = async (): Promise<string[]> => (await inside.kernel().run(['ip', 'route', 'show', 'default'])).stdout.trim().split('\n').map((line) => line.trim());
    expect(await waysOut()).toEqual(['default via 10.42.0.1 dev eth0 proto 203 metric 1000000000']);
    await inside.kernel().run(['ip', 'route', 'add', 'default', 'via', '10.42.0.1']);
    expect((await waysOut())[0]).toBe('default via 10.42.0.1 dev eth0');
    await b.driver.forget(KEY, server.ip);
    expect(existsSync(`/run/coat/netns/${name}`)).toBe(false);
    expect(await b.netns.run('ip', 'link')).not.toMatch(/: c[bxv]/);
  });

  it('is taken over by the endpoint Docker makes, and goes with it', async () => {
    await arrive();
    const PoolID = 'coat/10.42.0.0/24';
    const endpoint = randomBytes(32).toString('hex');
    const body = { NetworkID: nb, EndpointID: endpoint };
    expect(await b.engine.call('IpamDriver.RequestAddress', { PoolID, Address: server.ip, Options: null })).toEqual({ Address: `${server.ip}/24` });
    const Interface = { Address: `${server.ip}/24`, AddressIPv6: '', MacAddress: '' };
    await expect(b.engine.call('NetworkDriver.CreateEndpoint', { ...body, Interface: { ...Interface, MacAddress: '02:42:00:00:00:99' }, Options: {} })).rejects.toThrow(/has the MAC/);
    expect(await b.engine.call('NetworkDriver.CreateEndpoint', { ...body, Interface, Options: {} })).toEqual({ Interface: { MacAddress: server.mac } });
    expect(await b.engine.call('NetworkDriver.Join', { ...body, SandboxKey: '', Options: {} })).toEqual({ Gateway: '10.42.0.1' });

    await using recorder = await record();
    expect(recorder).toBeTruthy();
    await redirectToB();
    await send(20);
    expect(await inside.recorded()).toEqual([]);
    await b.restart();
    await using held = await keep(name);
    await b.driver.release(KEY, server.ip);
    await until('only the ways out that Docker made', async () => !(await held.run('ip', 'route')).includes('proto 203'), { timeout: 2_000 });
    await until('the held frames', async () => (JSON.parse(await held.run(process.execPath, '-e', RECORDED)) as number[]).length === 20, { timeout: 2_000 });

    // the source releases late, and frees nothing
    await claim({ host: 'b', epoch: 2, redirect: undefined, movingTo: undefined });
    await a.engine.stop(na, server);
    expect((await store.get(path()))?.value).toMatchObject({ host: 'b' });
    await b.engine.stop(nb, { endpoint, ip: server.ip });
    expect(await store.get(path())).toBeUndefined();
    expect(await b.netns.run('ip', 'link')).not.toMatch(/: c[bxv]/);
  });

  it('is cut off and connected again', async () => {
    await server.netns.start(RECORD);
    const recorded = async (): Promise<number[]> => JSON.parse(await server.netns.run(process.execPath, '-e', RECORDED)) as number[];
    await send(3);
    expect(await recorded()).toEqual([0, 1, 2]);
    await a.driver.cut(KEY, server.ip);
    await send(5);
    expect(await recorded()).toEqual([0, 1, 2]);
    // it cannot send either
    expect(await server.netns.eval(PING, client.ip, 1, 1, 50)).toEqual([]);
    await a.restart();
    await send(5);
    expect(await recorded()).toEqual([0, 1, 2]);
    await a.driver.uncut(KEY, server.ip);
    await send(2);
    expect(await recorded()).toEqual([0, 1, 2, 0, 1]);
  });
});

/** A second name for a namespace of the driver's, so that the test can still enter it. */
async function keep(of: string): Promise<Netns> {
  return Netns.alias(`/run/coat/netns/${of}`);
}
