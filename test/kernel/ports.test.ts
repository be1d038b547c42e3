import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { MemoryStore } from '../../driver/store/memory.ts';
import { Netns, TestHosts, type TestContainer, type TestHost } from '../support/netns.ts';

const KEY = '10.42.0.0-24';

let store: MemoryStore;
let all: TestHosts;
let a: TestHost;
let b: TestHost;
/** Has no container, and so is the world outside. */
let c: TestHost;

beforeEach(async () => {
  store = new MemoryStore();
  all = await TestHosts.create(store, ['a', 'b', 'c']);
  [a, b, c] = all.hosts as [TestHost, TestHost, TestHost];
  await Promise.all([a, b].map((host) => host.engine.createNetwork().then((id) => ids.set(host.name, id))));
});
afterEach(async () => {
  await Promise.all(spaces.splice(0).map((netns) => netns[Symbol.asyncDispose]()));
  await all[Symbol.asyncDispose]();
});

/** Docker's ids of the network, by host. */
const ids = new Map<string, string>();
/** Namespaces that containers have arrived in. */
const spaces: Netns[] = [];

/** Answers datagrams and connections on port 7 with a name and the address they came from. */
const WHO = `
const name = process.argv[1], u = require('dgram').createSocket('udp4');
u.on('message', (m, from) => u.send(name + ' ' + from.address, from.port, from.address));
require('net').createServer((s) => { s.on('error', () => {}); s.on('data', () => s.write(name + ' ' + s.remoteAddress)); }).listen(7, '0.0.0.0', () => u.bind(7, () => console.log('ready')));`;

/** Asks `udp` or `tcp`, an address and a port once; prints what is answered to it, or null. */
const ASK = `
const [proto, to, port] = process.argv.slice(1);
const say = (m) => { console.log(JSON.stringify(m)); process.exit(); };
setTimeout(() => say(null), 700);
if (proto === 'tcp') { const s = require('net').connect(Number(port), to, () => s.write('?')); s.on('data', (d) => say(String(d))); s.on('error', () => say(null)); }
else { const u = require('dgram').createSocket('udp4'); u.on('error', () => say(null)); u.connect(Number(port), to, () => u.send('?')); u.on('message', (m) => say(String(m))); }`;

/** Asks by UDP, from one socket, until the standard output is closed; prints each answer that is another one. */
const KEEP_ASKING = `
const [to, port] = process.argv.slice(1), u = require('dgram').createSocket('udp4');
let last;
u.on('message', (m) => { if (String(m) !== last) { last = String(m); require('fs').appendFileSync(process.argv[3], last + '\\n'); } });
u.on('error', () => {});
u.connect(Number(port), to, () => { console.log('ready'); setInterval(() => u.send('?', () => {}), 20); });`;

const ask = (from: { netns: TestHost['netns'] }, proto: 'tcp' | 'udp', to: string, port: number): Promise<string | null> => from.netns.eval(ASK, proto, to, port);
const both = (from: { netns: TestHost['netns'] }, to: string, port = 8080): Promise<(string | null)[]> => Promise.all([ask(from, 'tcp', to, port), ask(from, 'udp', to, port)]);

const binding = (Proto: number, HostPort: number, change: object = {}): object => ({ Proto, IP: '', Port: 7, HostIP: '', HostPort, HostPortEnd: HostPort, ...change });
const PORTS = [binding(6, 8080), binding(17, 8080)];

/** A container whose ports are published at a host. */
async function server(host: TestHost, name: string, ports = PORTS): Promise<TestContainer> {
  const container = await host.engine.run(ids.get(host.name)!);
  await publish(host, container, ports);
  await container.netns.start(WHO, name);
  await settle();
  return container;
}
const publish = (host: TestHost, { endpoint }: TestContainer, ports: object[]): Promise<unknown> =>
  host.engine.call('NetworkDriver.ProgramExternalConnectivity', { NetworkID: ids.get(host.name), EndpointID: endpoint, Options: { 'com.docker.network.portmap': ports } });

/** Waits until a client that keeps asking has heard these, in this order. */
async function heard(file: string, wanted: string[]): Promise<void> {
  const names = async (): Promise<string> => (await readFile(file, 'utf8').catch(() => '')).trim().split('\n').map((line) => line.split(' ')[0]).join();
  await until(`${wanted.join()} to be heard`, async () => (await names()) === wanted.join(), { timeout: 5_000 });
}

/** Takes a container from one host to another as a move does, but for its processes: other ones answer there, with another name. */
async function arrive(from: TestHost, to: TestHost, { ip, mac, endpoint }: TestContainer, name: string): Promise<TestContainer> {
  const path = `claims/${KEY}/${ip}`;
  const change = async (edit: (claim: object) => object): Promise<void> => {
    const { value, revision } = (await store.get(path))!;
    await all.settled(await store.put(path, edit(value as object), revision));
  };
  const netns = `coat-t-${randomBytes(4).toString('hex')}`;
  await change((claim) => ({ ...claim, movingTo: to.name }));
  await to.driver.expect({ network: KEY, ip, mac, prefixLength: 24, interfaceName: 'eth0', netns });
  const inside = await Netns.alias(`/run/coat/netns/${netns}`);
  spaces.push(inside);
  await inside.start(WHO, name);
  const there = { ip, ip6: undefined, mac, endpoint: randomBytes(32).toString('hex'), netns: inside };
  const place = { NetworkID: ids.get(to.name), EndpointID: there.endpoint };
  await to.engine.call('NetworkDriver.CreateEndpoint', { ...place, Interface: { Address: `${ip}/24`, AddressIPv6: '', MacAddress: mac }, Options: {} });
  const { Gateway } = await to.engine.call<{ Gateway: string }>('NetworkDriver.Join', { ...place, SandboxKey: '/var/run/docker/netns/x', Options: {} });
  await inside.run('ip', 'route', 'add', 'default', 'via', Gateway);
  await publish(to, there, PORTS);
  await to.driver.accept(KEY, ip);
  await change((claim) => ({ ...claim, redirect: to.name }));
  await from.driver.cut(KEY, ip);
  await to.driver.release(KEY, ip);
  await change(({ redirect: _redirect, movingTo: _movingTo, ...claim }: { redirect?: string; movingTo?: string }) => ({ ...claim, host: to.name, epoch: 2 }));
  // the source's engine says goodbye to what it had
  await from.engine.call('NetworkDriver.RevokeExternalConnectivity', { NetworkID: ids.get(from.name), EndpointID: endpoint });
  await from.engine.stop(ids.get(from.name)!, { endpoint, ip });
  await until('the store to have it', () => JSON.stringify(to.driver.replica.claims.get(`${KEY}/${ip}`)?.published).includes(`"${to.name}"`), { timeout: 2_000 });
  await settle();
  return there;
}

async function settle(): Promise<void> {
  await all.settled((await store.list('')).revision);
}

/** Tables and interfaces of ours. */
async function traces(host: TestHost): Promise<string> {
  const links = (JSON.parse(await host.netns.run('ip', '-j', 'link')) as { ifname: string }[]).map(({ ifname }) => ifname).filter((name) => /^c[bxvi]/.test(name));
  return (await host.netns.run('nft', 'list', 'tables')) + links.join();
}

describe('a published port', () => {
  it('is reached from outside by a client whose address stays, from the host itself, and from containers; afterwards nothing is left', async () => {
    const one = await server(a, 'one');
    const near = await a.engine.run(ids.get('a')!);
    const far = await b.engine.run(ids.get('b')!);
    await settle();
    expect(await both(c, a.address)).toEqual([`one ${c.address}`, `one ${c.address}`]);
    expect(await both(a, a.address)).toEqual([`one ${a.address}`, `one ${a.address}`]);
    expect(await both(a, '127.0.0.1')).toEqual([`one ${a.address}`, `one ${a.address}`]);
    expect(await both(near, a.address)).toEqual([`one ${a.address}`, `one ${a.address}`]);
    expect(await both(far, a.address)).toEqual([`one ${b.address}`, `one ${b.address}`]);
    // no other port, and no host but this one
    expect(await both(c, a.address, 8081)).toEqual([null, null]);
    expect(await both(c, b.address)).toEqual([null, null]);

    await a.restart();
    expect(await both(c, a.address)).toEqual([`one ${c.address}`, `one ${c.address}`]);
    await a.engine.call('NetworkDriver.RevokeExternalConnectivity', { NetworkID: ids.get('a'), EndpointID: one.endpoint });
    expect(await both(c, a.address)).toEqual([null, null]);
    await a.engine.stop(ids.get('a')!, one);
    await a.engine.stop(ids.get('a')!, near);
    await b.engine.stop(ids.get('b')!, far);
    await settle();
    expect([await traces(a), await traces(b)]).toEqual(['', '']);
  });

  it('can be had at one address of the host alone', async () => {
    await a.netns.run('ip', 'address', 'add', '172.30.0.77/24', 'dev', 'up0');
    await server(a, 'one', [binding(6, 8080, { HostIP: '172.30.0.77' }), binding(17, 8080, { HostIP: '127.0.0.1' })]);
    expect(await both(c, '172.30.0.77')).toEqual([`one ${c.address}`, null]);
    expect(await both(c, a.address)).toEqual([null, null]);
    expect(await ask(a, 'udp', '127.0.0.1', 8080)).toBe(`one ${a.address}`);
  });

  it('is taken away together with what is remembered of its clients', async () => {
    const one = await server(a, 'one');
    const file = `${a.stateDir}/heard`;
    await c.netns.start(KEEP_ASKING, a.address, '8080', file);
    await heard(file, ['one']);
    await a.engine.stop(ids.get('a')!, one);
    await server(a, 'two');
    // the same socket all the time
    await heard(file, ['one', 'two']);
  });

  it('stays where it was when its container moves, and again, and back; each new host has it as well', async () => {
    const one = await server(a, 'one');
    await b.engine.run(ids.get('b')!);
    await settle();
    const file = `${a.stateDir}/heard`;
    await c.netns.start(KEEP_ASKING, a.address, '8080', file);
    await heard(file, ['one']);

    const there = await arrive(a, b, one, 'there');
    await heard(file, ['one', 'there']);
    expect(await both(c, a.address)).toEqual([`there ${c.address}`, `there ${c.address}`]);
    expect(await both(c, b.address)).toEqual([`there ${c.address}`, `there ${c.address}`]);
    // also for those whose answers would find the wrong host by themselves
    expect(await both(b, a.address)).toEqual([`there ${b.address}`, `there ${b.address}`]);
    expect(await both(a, '127.0.0.1')).toEqual([`there ${a.address}`, `there ${a.address}`]);
    expect(await traces(a)).toContain('coat-ports');

    await a.restart();
    await b.restart();
    expect(await both(c, a.address)).toEqual([`there ${c.address}`, `there ${c.address}`]);

    const back = await arrive(b, a, there, 'back');
    await heard(file, ['one', 'there', 'back']);
    expect(await both(c, b.address)).toEqual([`back ${c.address}`, `back ${c.address}`]);
    await a.engine.stop(ids.get('a')!, back);
    await settle();
    expect(await both(c, b.address)).toEqual([null, null]);
    expect([await traces(a), await traces(b)].join()).not.toContain('coat-ports');
  });

  it('is nothing of a host that leaves the cluster after its container has moved away', async () => {
    await arrive(a, b, await server(a, 'one'), 'there');
    expect(await traces(a)).toContain('coat-ports');
    await a.driver.closePorts();
    expect(await traces(a)).toBe('');
    expect(await both(c, b.address)).toEqual([`there ${c.address}`, `there ${c.address}`]);
  });
});
