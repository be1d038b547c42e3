import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { createKernel } from '../../driver/kernel/kernel.ts';
import { MemoryStore } from '../../driver/store/memory.ts';
import type { TestContainer } from '../support/caller.ts';
import { TestHosts, type TestHost } from '../support/netns-hosts.ts';
import { ECHO, PING } from '../support/scripts.ts';

const KEY = '10.42.0.0-24';
const [SUBNET, SUBNET6] = ['10.42.0.0/24', 'fd00:42::/64'];

let store: MemoryStore;
let all: TestHosts;
let a: TestHost;
let b: TestHost;

/** Two hosts with a network of both families. @returns its ids */
async function begin(ipv6: boolean, options: Record<string, unknown> = {}): Promise<[string, string]> {
  store = new MemoryStore();
  all = await TestHosts.create(store, ['a', 'b'], { ipv6 });
  [a, b] = all.hosts as [TestHost, TestHost];
  return [await a.engine.createNetwork(SUBNET, options, SUBNET6), await b.engine.createNetwork(SUBNET, options, SUBNET6)];
}
afterEach(async () => all[Symbol.asyncDispose]());

const run = (host: TestHost, network: string, ip6 = ''): Promise<TestContainer> => host.engine.run(network, { subnet6: SUBNET6, ip6 });
const settle = async (): Promise<void> => all.settled((await store.list('')).revision);
const of6 = (script: string): string => script.replaceAll('udp4', 'udp6');
const ping = (from: TestContainer, to: string, count = 3): Promise<number[]> => from.netns.eval<number[]>(of6(PING), to, count, 5, 150);
const stop = async (host: TestHost, network: string, container: TestContainer): Promise<void> => {
  await host.engine.stop(network, container);
  await host.engine.call('IpamDriver.ReleaseAddress', { PoolID: `coat/${SUBNET6}`, Address: container.ip6 });
};
/** Has one datagram of that size echoed. */
const LARGE = `
const s = require('dgram').createSocket('udp6');
s.on('message', (m) => { console.log(m.length); process.exit(); });
s.send(Buffer.alloc(Number(process.argv[2])), 7, process.argv[1]);`;

/** A router advertisement, RFC 4861 §4.2: type 134, a lifetime of half an hour. The kernel fills in its sum. */
const ADVERTISEMENT = Buffer.from('86000000400007080000000000000000', 'hex');

/** Frames that left through the tunnels of a host. */
async function tunnelled(host: TestHost): Promise<number> {
  const links = JSON.parse(await host.netns.run('ip', '-j', '-s', 'link')) as { ifname: string; stats64: { tx: { packets: number } } }[];
  return links.filter(({ ifname }) => ifname.startsWith('cx')).reduce((sum, { stats64 }) => sum + stats64.tx.packets, 0);
}

describe.each([['IPv4', false, 1450], ['IPv6', true, 1430]] as const)('IPv6 over %s', (_, ipv6, mtu) => {
  it('connects containers of two hosts with full frames, and leaves nothing behind', async () => {
    const [na, nb] = await begin(ipv6);
    const [one, two] = [await run(a, na), await run(b, nb)];
    await two.netns.start(of6(ECHO));
    await settle();
    expect(a.driver.replica.networks.get(KEY)!.mtu).toBe(mtu);
    expect(await ping(one, two.ip6!)).toEqual([0, 1, 2]);
    // what fits inside fits through the tunnel; 8 bytes of UDP, 40 of IPv6
    expect(await one.netns.eval(LARGE, two.ip6!, mtu - 48)).toBe(mtu - 48);
    for (const host of [a, b]) expect(await host.netns.run('sh', '-c', 'cat /proc/net/snmp6 && nstat -asz IpFragCreates')).toMatch(/Ip6FragCreates\s+0\n[^]*IpFragCreates\s+0 /);
    // the audit finds everything as it should be
    await a.restart();
    expect(await ping(one, two.ip6!)).toEqual([0, 1, 2]);
    expect(a.driver.repaired).toBe(0);

    await stop(a, na, one);
    await stop(b, nb, two);
    await settle();
    for (const host of [a, b]) expect(await host.netns.run('ip', 'link')).not.toMatch(/: c[bxv]/);
    expect((await store.list('claims/')).entries.filter(({ value }) => !(value as { spare?: boolean }).spare)).toEqual([]);
  });
});

describe('neighbours', () => {
  it('are answered for by each host itself, gateway and all', async () => {
    const [na, nb] = await begin(false, { 'com.docker.network.generic': { multicast: 'off' } });
    const [one, two] = [await run(a, na), await run(b, nb)];
    await Promise.all([two.netns.start(of6(ECHO)), a.netns.start(of6(ECHO))]);
    await settle();
    expect(await ping(one, two.ip6!)).toEqual([0, 1, 2]);
    expect(await one.netns.run('ip', 'neigh', 'show', two.ip6!)).toContain(two.mac);
    const before = await tunnelled(a);
    expect(await ping(one, 'fd00:42::1')).toEqual([0, 1, 2]);
    expect(await tunnelled(a)).toBe(before);
  });

  it('are told of an address that comes back with another MAC', async () => {
    const [na, nb] = await begin(false);
    const [one, two] = [await run(a, na), await run(b, nb, 'fd00:42::77')];
    await settle();
    await two.netns.start(of6(ECHO));
    expect(await ping(one, two.ip6!)).toEqual([0, 1, 2]);
    await stop(b, nb, two);
    const three = await run(b, nb, 'fd00:42::77');
    await settle();
    expect(three.mac).not.toBe(two.mac);
    await until('the new MAC', async () => (await one.netns.run('ip', 'neigh', 'show', three.ip6!)).includes(three.mac), { timeout: 3_000 });
  });

  it('that call themselves routers are not believed by the host', async () => {
    await begin(false);
    const one = await a.engine.run(await a.engine.createNetwork('10.43.0.0/24'), { subnet: '10.43.0.0/24' });
    await one.netns.kernel.run(['tee', '/proc/sys/net/ipv6/conf/eth0/disable_ipv6'], { input: '0' });
    const advertise = (): Promise<unknown> =>
      one.netns.kernel.run(['socat', '-u', 'STDIN', 'IP6-SENDTO:[ff02::1%eth0]:58,setsockopt-int=41:18:255'], { input: ADVERTISEMENT });
    const routes = (): Promise<string> => a.netns.run('ip', '-6', 'route', 'show', 'default');
    await until('the link to be ready', async () => !(await one.netns.run('ip', '-6', 'address', 'show', 'dev', 'eth0')).includes('tentative'), { timeout: 5_000 });
    await advertise();
    await a.netns.run('nft', 'flush', 'chain', 'inet', 'coat', 'input');
    expect(await routes()).toBe('');
    // it is the rule that kept it out
    await advertise();
    await until('a route', async () => (await routes()).includes('proto ra'), { timeout: 3_000 });
  });
});

describe('an arrival', () => {
  it('has both addresses, which can be used at once, holds frames for both, and goes without a trace', async () => {
    const [na, nb] = await begin(false);
    const [client, server] = [await run(a, na), await run(a, na)];
    expect(nb).toBeTruthy();
    const netns = `coat-t-${randomBytes(4).toString('hex')}`;
    const claim = async (change: object): Promise<void> => {
      let revision = 0;
      for (const ip of [server.ip, server.ip6!]) revision = await store.put(`claims/${KEY}/${ip}`, { ...((await store.get(`claims/${KEY}/${ip}`))!.value as object), ...change }, 'any');
      await all.settled(revision);
    };
    await claim({ movingTo: 'b' });
    await b.driver.expect({ network: KEY, ip: server.ip, mac: server.mac, prefixLength: 24, ip6: server.ip6, prefixLength6: 64, interfaceName: 'eth0', netns });
    const inside = createKernel(`/run/coat/netns/${netns}`);
    const [link] = JSON.parse((await inside.run(['ip', '-j', 'address', 'show', 'dev', 'eth0'])).stdout) as { addr_info: { local: string; scope: string; tentative?: boolean }[] }[];
    expect(link!.addr_info.filter(({ scope }) => scope === 'global').map(({ local }) => local)).toEqual([server.ip, server.ip6]);
    expect(link!.addr_info.filter(({ tentative }) => tentative)).toEqual([]);
    expect((await inside.run(['ip', '-6', 'route', 'show', 'default'])).stdout).toMatch(/^default via fd00:42::1 dev eth0 proto 203 metric 1000000000/);

    await b.driver.accept(KEY, server.ip);
    await claim({ redirect: 'b' });
    await a.driver.cut(KEY, server.ip);
    // nobody answers before the release
    const asked = ping(client, server.ip6!, 5);
    expect(await asked).toEqual([]);
    const held = JSON.parse((await b.netns.run('tc', '-s', '-j', 'qdisc', 'show'))) as { kind: string; backlog: number }[];
    expect(held.find(({ kind }) => kind === 'tbf')!.backlog).toBeGreaterThan(0);
    await b.driver.forget(KEY, server.ip);
    expect(await b.netns.run('ip', 'link')).not.toMatch(/: c[bxv]/);
  });
});
