import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { hostAddress } from '../../driver/overlay/names.ts';
import { MemoryStore } from '../../driver/store/memory.ts';
import type { TestContainer } from '../support/caller.ts';
import { Netns } from '../support/netns.ts';
import { TestHosts, type TestHost, traces } from '../support/netns-hosts.ts';

const KEY = '10.42.0.0-24';
const SUBNET = '10.42.0.0/24';
const SUBNET6 = 'fd00:42::/64';

let store: MemoryStore;
let all: TestHosts;
let a: TestHost;
let b: TestHost;
/** Has no container, and so is the world outside. */
let c: TestHost;

/** How containers are reached, and how hosts reach each other. */
interface Families {
  family: 4 | 6;
  underlay: 4 | 6;
}
let how: Families;

/** Three hosts, which have addresses of both families, and a network on two of them. */
async function begin(families: Families): Promise<void> {
  how = families;
  store = new MemoryStore();
  all = await TestHosts.create(store, ['a', 'b', 'c'], { ipv6: how.underlay === 6 });
  [a, b, c] = all.hosts as [TestHost, TestHost, TestHost];
  const other = how.underlay === 6 ? (n: number) => [`172.30.0.${n}/24`] : (n: number) => [`fd00:30::${n}/64`, 'nodad'];
  for (const [i, { netns }] of all.hosts.entries()) await netns.run('ip', 'address', 'add', ...(other(i + 1) as [string]), 'dev', 'up0');
  await Promise.all([a, b].map((host) => host.engine.createNetwork(SUBNET, {}, how.family === 6 ? SUBNET6 : undefined).then((id) => ids.set(host.name, id))));
}
/** A host's address of the family in which containers are reached. */
const at = (host: TestHost): string => (how.family === 6 ? `fd00:30::${all.hosts.indexOf(host) + 1}` : `172.30.0.${all.hosts.indexOf(host) + 1}`);
/** What the container sees of a connection that has no address of its own to show: the host's, or what stands for it. */
const own = (host: TestHost): string => (how.family === how.underlay ? host.address : hostAddress(host.name, how.family));
/** What the host's own programs hear by `localhost`: of IPv6 an error at once, so that they try the other. */
const byLoopback = async (host: TestHost): Promise<unknown> => (how.family === 6 ? Promise.all((['tcp', 'udp'] as const).map((proto) => host.netns.eval(REFUSED, proto, '8080'))) : both(host, '127.0.0.1'));
const inFamily = (script: string): string => (how.family === 6 ? script.replaceAll('udp4', 'udp6').replaceAll('0.0.0.0', '::') : script);
const join = (host: TestHost): Promise<TestContainer> => host.engine.run(ids.get(host.name)!, how.family === 6 ? { subnet6: SUBNET6 } : {});
async function leave(host: TestHost, container: TestContainer): Promise<void> {
  await host.engine.stop(ids.get(host.name)!, container);
  if (container.ip6) await host.engine.call('IpamDriver.ReleaseAddress', { PoolID: `coat/${SUBNET6}`, Address: container.ip6 });
}

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
const [proto, to, port, patience] = process.argv.slice(1);
const say = (m) => { console.log(JSON.stringify(m)); process.exit(); };
setTimeout(() => say(null), Number(patience));
if (proto === 'tcp') { const s = require('net').connect(Number(port), to, () => s.write('?')); s.on('data', (d) => say(String(d))); s.on('error', () => say(null)); }
else { const u = require('dgram').createSocket('udp4'); u.on('error', () => say(null)); u.connect(Number(port), to, () => u.send('?')); u.on('message', (m) => say(String(m))); }`;

/** What a program hears that tries ::1: an error's code, or null. */
const REFUSED = `
const [proto, port] = process.argv.slice(1);
const say = (m) => { console.log(JSON.stringify(m)); process.exit(); };
setTimeout(() => say(null), 5_000);
if (proto === 'tcp') require('net').connect(Number(port), '::1').on('error', (e) => say(e.code)).on('end', () => say('taken and closed')).resume();
else { const u = require('dgram').createSocket('udp6'); u.on('error', (e) => say(e.code)); u.connect(Number(port), '::1', () => setInterval(() => u.send('?', () => {}), 50)); }`;

/** Asks by UDP, from one socket, until the standard output is closed; prints each answer that is another one. */
const KEEP_ASKING = `
const [to, port] = process.argv.slice(1), u = require('dgram').createSocket('udp4');
let last;
u.on('message', (m) => { if (String(m) !== last) { last = String(m); require('fs').appendFileSync(process.argv[3], last + '\\n'); } });
u.on('error', () => {});
u.connect(Number(port), to, () => { console.log('ready'); setInterval(() => u.send('?', () => {}), 20); });`;

/** How long an answer is waited for, and how long silence is listened to, ms. */
const PATIENCE_MS = 5_000;
const SILENCE_MS = 700;
type From = { netns: TestHost['netns'] };
const ask = (from: From, proto: 'tcp' | 'udp', to: string, port: number, patience = PATIENCE_MS): Promise<string | null> => from.netns.eval(inFamily(ASK), proto, to, port, patience);
const both = (from: From, to: string, port = 8080, patience = PATIENCE_MS): Promise<(string | null)[]> => Promise.all([ask(from, 'tcp', to, port, patience), ask(from, 'udp', to, port, patience)]);
const nothing = (from: From, to: string, port = 8080): Promise<(string | null)[]> => both(from, to, port, SILENCE_MS);

const binding = (Proto: number, HostPort: number, change: object = {}): object => ({ Proto, IP: '', Port: 7, HostIP: '', HostPort, HostPortEnd: HostPort, ...change });
const PORTS = [binding(6, 8080), binding(17, 8080)];

/** A container whose ports are published at a host. */
async function server(host: TestHost, name: string, ports = PORTS): Promise<TestContainer> {
  const container = await join(host);
  await publish(host, container, ports);
  await container.netns.start(inFamily(WHO), name);
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
async function arrive(from: TestHost, to: TestHost, { ip, ip6, mac, endpoint }: TestContainer, name: string): Promise<TestContainer> {
  const change = async (edit: (claim: object) => object): Promise<void> => {
    let done = 0;
    for (const path of [ip, ...(ip6 ? [ip6] : [])].map((address) => `claims/${KEY}/${address}`)) {
      const { value, revision } = (await store.get(path))!;
      done = await store.put(path, edit(value as object), revision);
    }
    await all.settled(done);
  };
  const netns = `coat-t-${randomBytes(4).toString('hex')}`;
  await change((claim) => ({ ...claim, movingTo: to.name }));
  await to.driver.expect({ network: KEY, ip, mac, prefixLength: 24, ...(ip6 && { ip6, prefixLength6: 64 }), interfaceName: 'eth0', netns });
  const inside = await Netns.alias(`/run/coat/netns/${netns}`);
  spaces.push(inside);
  await inside.start(inFamily(WHO), name);
  const there = { ip, ip6, mac, endpoint: randomBytes(32).toString('hex'), netns: inside };
  const place = { NetworkID: ids.get(to.name), EndpointID: there.endpoint };
  await to.engine.call('NetworkDriver.CreateEndpoint', { ...place, Interface: { Address: `${ip}/24`, AddressIPv6: ip6 ? `${ip6}/64` : '', MacAddress: mac }, Options: {} });
  const { Gateway, GatewayIPv6 } = await to.engine.call<{ Gateway: string; GatewayIPv6?: string }>('NetworkDriver.Join', { ...place, SandboxKey: '/var/run/docker/netns/x', Options: {} });
  for (const gateway of [Gateway, ...(GatewayIPv6 ? [GatewayIPv6] : [])]) await inside.run('ip', 'route', 'add', 'default', 'via', gateway);
  await publish(to, there, PORTS);
  await to.driver.accept(KEY, ip);
  await change((claim) => ({ ...claim, redirect: to.name }));
  await from.driver.cut(KEY, ip);
  await to.driver.release(KEY, ip);
  await change(({ redirect: _redirect, movingTo: _movingTo, ...claim }: { redirect?: string; movingTo?: string }) => ({ ...claim, host: to.name, epoch: 2 }));
  // the source's engine says goodbye to what it had
  await from.engine.call('NetworkDriver.RevokeExternalConnectivity', { NetworkID: ids.get(from.name), EndpointID: endpoint });
  await leave(from, { netns: inside, endpoint, ip, ip6, mac });
  await until('the store to have it', () => JSON.stringify(to.driver.replica.claims.get(`${KEY}/${ip}`)?.published).includes(`"${to.name}"`), { timeout: 2_000 });
  await settle();
  return there;
}

async function settle(): Promise<void> {
  await all.settled((await store.list('')).revision);
}

describe.each<[string, Families]>([
  ['by IPv4', { family: 4, underlay: 4 }],
  ['by IPv6', { family: 6, underlay: 4 }],
  ['by IPv4, over IPv6', { family: 4, underlay: 6 }],
])('a published port, %s', (_, families) => {
  beforeEach(() => begin(families));

  it('is reached from outside by a client whose address stays, from the host itself, and from containers; afterwards nothing is left', async () => {
    const one = await server(a, 'one');
    const near = await join(a);
    const far = await join(b);
    await settle();
    expect(await both(c, at(a))).toEqual([`one ${at(c)}`, `one ${at(c)}`]);
    expect(await both(a, at(a))).toEqual([`one ${at(a)}`, `one ${at(a)}`]);
    expect(await byLoopback(a)).toEqual(how.family === 6 ? ['ECONNREFUSED', 'ECONNREFUSED'] : [`one ${own(a)}`, `one ${own(a)}`]);
    expect(await both(near, at(a))).toEqual([`one ${own(a)}`, `one ${own(a)}`]);
    expect(await both(far, at(a))).toEqual([`one ${at(b)}`, `one ${at(b)}`]);
    // no other port, and no host but this one
    expect(await nothing(c, at(a), 8081)).toEqual([null, null]);
    expect(await nothing(c, at(b))).toEqual([null, null]);

    await a.restart();
    expect(await both(c, at(a))).toEqual([`one ${at(c)}`, `one ${at(c)}`]);
    await a.engine.call('NetworkDriver.RevokeExternalConnectivity', { NetworkID: ids.get('a'), EndpointID: one.endpoint });
    expect(await nothing(c, at(a))).toEqual([null, null]);
    await leave(a, one);
    await leave(a, near);
    await leave(b, far);
    await settle();
    expect([await traces(a), await traces(b)]).toEqual([[], []]);
  });

  it('is taken away together with what is remembered of its clients', async () => {
    const one = await server(a, 'one');
    const file = `${a.stateDir}/heard`;
    await c.netns.start(inFamily(KEEP_ASKING), at(a), '8080', file);
    await heard(file, ['one']);
    await leave(a, one);
    await server(a, 'two');
    // the same socket all the time
    await heard(file, ['one', 'two']);
  });

  it('stays where it was when its container moves, and again, and back; each new host has it as well', async () => {
    const one = await server(a, 'one');
    await join(b);
    await settle();
    const file = `${a.stateDir}/heard`;
    await c.netns.start(inFamily(KEEP_ASKING), at(a), '8080', file);
    await heard(file, ['one']);

    const there = await arrive(a, b, one, 'there');
    await heard(file, ['one', 'there']);
    expect(await both(c, at(a))).toEqual([`there ${at(c)}`, `there ${at(c)}`]);
    expect(await both(c, at(b))).toEqual([`there ${at(c)}`, `there ${at(c)}`]);
    // also for those whose answers would find the wrong host by themselves
    expect(await both(b, at(a))).toEqual([`there ${at(b)}`, `there ${at(b)}`]);
    expect(await byLoopback(a)).toEqual(how.family === 6 ? ['ECONNREFUSED', 'ECONNREFUSED'] : [`there ${own(a)}`, `there ${own(a)}`]);
    expect((await traces(a)).join()).toContain('coat-ports');

    await a.restart();
    await b.restart();
    expect(await both(c, at(a))).toEqual([`there ${at(c)}`, `there ${at(c)}`]);

    const back = await arrive(b, a, there, 'back');
    await heard(file, ['one', 'there', 'back']);
    expect(await both(c, at(b))).toEqual([`back ${at(c)}`, `back ${at(c)}`]);
    await leave(a, back);
    await settle();
    expect(await nothing(c, at(b))).toEqual([null, null]);
    expect([await traces(a), await traces(b)].join()).not.toContain('coat-ports');
  });
});

describe('a published port', () => {
  beforeEach(() => begin({ family: 4, underlay: 4 }));

  it('can be had at one address of the host alone', async () => {
    await a.netns.run('ip', 'address', 'add', '172.30.0.77/24', 'dev', 'up0');
    await server(a, 'one', [binding(6, 8080, { HostIP: '172.30.0.77' }), binding(17, 8080, { HostIP: '127.0.0.1' })]);
    expect([await ask(c, 'tcp', '172.30.0.77', 8080), await ask(c, 'udp', '172.30.0.77', 8080, SILENCE_MS)]).toEqual([`one ${c.address}`, null]);
    expect(await nothing(c, a.address)).toEqual([null, null]);
    expect(await ask(a, 'udp', '127.0.0.1', 8080)).toBe(`one ${a.address}`);
  });

  it('is nothing of a host that leaves the cluster after its container has moved away', async () => {
    await arrive(a, b, await server(a, 'one'), 'there');
    expect((await traces(a)).join()).toContain('coat-ports');
    await a.driver.closePorts();
    expect(await traces(a)).toEqual([]);
    expect(await both(c, b.address)).toEqual([`there ${c.address}`, `there ${c.address}`]);
  });
});
