import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { MemoryStore } from '../../driver/store/memory.ts';
import type { TestContainer } from '../support/caller.ts';
import { TestHosts, type TestHost, traces } from '../support/netns-hosts.ts';
import { ECHO, PING } from '../support/scripts.ts';

const KEY = '10.42.0.0-24';

let store: MemoryStore;
let all: TestHosts;
let a: TestHost;
let b: TestHost;
let c: TestHost;

beforeEach(async () => {
  store = new MemoryStore();
  all = await TestHosts.create(store, ['a', 'b', 'c']);
  [a, b, c] = all.hosts as [TestHost, TestHost, TestHost];
});
afterEach(async () => all[Symbol.asyncDispose]());

/** Frames that left through the tunnels of a host. */
async function tunnelled(host: TestHost): Promise<number> {
  const links = JSON.parse(await host.netns.run('ip', '-j', '-s', 'link')) as { ifname: string; stats64: { tx: { packets: number } } }[];
  return links.filter(({ ifname }) => ifname.startsWith('cx')).reduce((sum, { stats64 }) => sum + stats64.tx.packets, 0);
}

const ping = (from: TestContainer, to: string, count = 5, every = 5, wait = 150): Promise<number[]> => from.netns.eval<number[]>(PING, to, count, every, wait);

async function settle(): Promise<void> {
  await all.settled((await store.list('')).revision);
}

/** Answers what comes to UDP port 7, broadcast and the group 239.1.2.3 included, with its name. */
const LISTEN = `
const s = require('dgram').createSocket('udp4');
s.on('message', (m, from) => s.send(process.argv[1], from.port, from.address)).bind(7, () => { s.addMembership('239.1.2.3'); console.log('ready'); });`;

/** Says something to an address three times, and prints who answered. */
const SHOUT = `
const s = require('dgram').createSocket('udp4'), heard = new Set();
s.on('message', (m) => heard.add(String(m)));
s.bind(0, () => { s.setBroadcast(true); for (let i = 0; i < 3; i++) setTimeout(() => s.send('?', 7, process.argv[1], () => {}), i * 50); });
setTimeout(() => { console.log(JSON.stringify([...heard].sort())); process.exit(); }, 500);`;

describe('the overlay', () => {
  it('makes nothing before the first join, connects containers of two hosts, and leaves nothing behind', async () => {
    const [na, nb] = [await a.engine.createNetwork(), await b.engine.createNetwork()];
    expect(await traces(a)).toEqual([]);
    const one = await a.engine.run(na);
    const two = await b.engine.run(nb);
    await two.netns.start(ECHO);
    await settle();
    expect(await ping(one, two.ip)).toEqual([0, 1, 2, 3, 4]);
    expect(await traces(c)).toEqual([]);

    await a.engine.stop(na, one);
    await b.engine.stop(nb, two);
    await settle();
    expect(await traces(a)).toEqual([]);
    expect(await traces(b)).toEqual([]);
    expect([...b.driver.replica.claims]).toEqual([]);
  });

  it('moves an address with one change of its claim', async () => {
    const [na, nb, nc] = [await a.engine.createNetwork(), await b.engine.createNetwork(), await c.engine.createNetwork()];
    const client = await a.engine.run(na);
    await b.engine.run(nb);
    const moving = await b.engine.run(nb);
    await moving.netns.start(ECHO);
    await settle();
    expect(await ping(client, moving.ip, 3)).toEqual([0, 1, 2]);

    const path = `claims/${KEY}/${moving.ip}`;
    const claim = (await store.get(path))!;
    await store.put(path, { ...(claim.value as object), movingTo: 'c' }, claim.revision);
    await settle();
    await c.driver.expect({ network: KEY, ip: moving.ip, mac: moving.mac, prefixLength: 24, interfaceName: 'eth0', netns: `coat-t-${moving.mac.replaceAll(':', '')}` });
    await c.driver.release(KEY, moving.ip);
    await store.put(path, { ...(claim.value as object), redirect: 'c', epoch: 2 }, 'any');
    await settle();
    // every host points at c now, b too, although the endpoint is still there
    const fdb = await b.netns.run('bridge', 'fdb', 'show');
    expect(fdb).toContain(`dst ${c.address}`);
    expect(await ping(client, moving.ip, 2)).toEqual([]);
    await c.driver.forget(KEY, moving.ip);
    expect(await traces(c)).toEqual([]);
    expect(nc).toBeTruthy();
  });

  it('answers for the gateway on every host, without a frame in the tunnel', async () => {
    const [na, nb] = [await a.engine.createNetwork(), await b.engine.createNetwork()];
    const one = await a.engine.run(na);
    await b.engine.run(nb);
    await settle();
    await a.netns.start(ECHO);
    await sleep(200);
    const before = await tunnelled(a);
    expect(await ping(one, '10.42.0.1')).toEqual([0, 1, 2, 3, 4]);
    expect(await tunnelled(a)).toBe(before);
  });

  it('answers ARP for known addresses itself', async () => {
    const [na, nb] = [await a.engine.createNetwork(), await b.engine.createNetwork()];
    const one = await a.engine.run(na);
    const two = await b.engine.run(nb);
    await settle();
    await two.netns.start(ECHO);
    const seen = await tunnelled(a);
    await one.netns.run('ip', 'neigh', 'replace', two.ip, 'dev', 'eth0', 'use');
    const mac = await until('ARP to resolve', async () => /lladdr (\S+)/.exec(await one.netns.run('ip', 'neigh', 'show', two.ip))?.[1], { timeout: 2_000 });
    expect(mac).toBe(two.mac);
    expect(await tunnelled(a)).toBe(seen);
  });

  it.each([['on', ['b', 'c']], ['off', []]])('broadcast and multicast reach the members on other hosts with multicast=%s: %j', async (multicast, heard) => {
    const networks = await Promise.all(all.hosts.map(({ engine }) => engine.createNetwork(undefined, { 'com.docker.network.generic': { multicast } })));
    const [one, two, three] = [await a.engine.run(networks[0]!), await b.engine.run(networks[1]!), await c.engine.run(networks[2]!)];
    for (const [host, { netns }] of [['b', two], ['c', three]] as const) await netns.start(LISTEN, host);
    await settle();
    // a container without a place in its neighbour table asks with a broadcast too, and is answered all the same
    expect(await one.netns.eval(SHOUT, two.ip)).toEqual(['b']);
    expect(await one.netns.eval(SHOUT, '10.42.0.255')).toEqual(heard);
    expect(await one.netns.eval(SHOUT, '239.1.2.3')).toEqual(heard);
  });

  it('repairs what somebody removed by hand, and removes what nobody explains', async () => {
    const [na, nb] = [await a.engine.createNetwork(), await b.engine.createNetwork()];
    const one = await a.engine.run(na);
    const two = await b.engine.run(nb);
    await two.netns.start(ECHO);
    await settle();
    await a.driver.stop();
    const { vni } = a.driver.replica.networks.get(KEY)!;
    const hex = vni.toString(16).padStart(6, '0');
    await a.restart();
    await a.netns.run('bridge', 'fdb', 'del', two.mac, 'dev', `cx${hex}`, 'dst', b.address, 'self');
    await a.netns.run('ip', 'link', 'del', `cb${hex}`);
    await a.netns.run('nft', 'delete', 'table', 'inet', 'coat');
    await a.netns.run('ip', 'link', 'add', 'cb00beef', 'type', 'bridge');
    await a.netns.run('ip', 'link', 'add', 'cv0123456789', 'type', 'veth', 'peer', 'name', 'ci0123456789');
    await a.restart();
    expect(await ping(one, two.ip, 3)).toEqual([0, 1, 2]);
    const left = await traces(a);
    expect(left).not.toContain('cb00beef');
    expect(left).not.toContain('cv0123456789');
    expect(left).toContain('inet coat');
  });

  it('goes on from its own files when it is started without the store', async () => {
    const [na, nb] = [await a.engine.createNetwork(), await b.engine.createNetwork()];
    const one = await a.engine.run(na);
    const two = await b.engine.run(nb);
    await two.netns.start(ECHO);
    await settle();
    await sleep(300);
    store.away = true;
    await a.netns.run('ip', 'link', 'del', `cx${a.driver.replica.networks.get(KEY)!.vni.toString(16).padStart(6, '0')}`);
    await a.restart();
    expect(await ping(one, two.ip, 3)).toEqual([0, 1, 2]);
    await a.engine.stop(na, one);
    expect(await traces(a)).toEqual([]);
    await expect(a.engine.run(na)).rejects.toThrow(/store of the cluster does not answer/);
    store.away = false;
    await until('the address to be given back', async () => (await store.get(`claims/${KEY}/${one.ip}`)) === undefined, { timeout: 8_000 });
  });
});
