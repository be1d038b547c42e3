import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silent } from '../../driver/host/log.ts';
import { until } from '../../driver/host/until.ts';
import { MemoryStore } from '../../driver/store/memory.ts';
import { createHostSide } from '../../plugin/criu/host.ts';
import { byEndpoint, DATAGRAMS, keepUnread, readUnread, waitingIn } from '../../plugin/migration/unread.ts';
import type { TestContainer } from '../support/caller.ts';
import { TestHosts, type TestHost } from '../support/netns-hosts.ts';

const NETWORK = { key: '10.42.0.0-24', subnet: '10.42.0.0/24', subnet6: 'fd00:42::/64' };

/** Binds UDP port 7 of an address and prints what comes, a line each: sender, length, and the text before the first dot. */
const HEAR = `
const [address] = process.argv.slice(1);
const s = require('dgram').createSocket(address.includes(':') ? 'udp6' : 'udp4');
s.on('message', (m, from) => console.log(from.address, from.port, m.length, String(m).split('.')[0]));
s.bind(7, address, () => console.log('ready'));`;

/** Sends datagrams of these lengths to UDP port 7 of an address, the first from port 9: each begins with its number and a dot. */
const SAY = `
const [to, from, ...lengths] = process.argv.slice(1);
const s = require('dgram').createSocket(to.includes(':') ? 'udp6' : 'udp4');
s.bind(9, from, async () => {
  for (const [index, length] of lengths.entries()) await new Promise((done) => s.send((index + '.').padEnd(Number(length), 'x').slice(0, Number(length)), 7, to, done));
  console.log('{}');
  process.exit();
});`;

let all: TestHosts;
let a: TestHost;
let b: TestHost;
let client: TestContainer;
let server: TestContainer;
let directory: string;
let name: string;
const host = createHostSide('');

beforeEach(async () => {
  all = await TestHosts.create(new MemoryStore(), ['a', 'b']);
  [a, b] = all.hosts as [TestHost, TestHost];
  const [na] = [await a.engine.createNetwork(NETWORK.subnet, {}, NETWORK.subnet6), await b.engine.createNetwork(NETWORK.subnet, {}, NETWORK.subnet6)];
  client = await a.engine.run(na, NETWORK);
  server = await a.engine.run(na, NETWORK);
  directory = await mkdtemp(join(tmpdir(), 'coat-t-datagrams-'));
  name = `coat-t-${randomBytes(4).toString('hex')}`;
});
afterEach(async () => {
  await b.driver.forget(NETWORK.key, server.ip);
  await all[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

/** A program that hears. Stopped, it reads nothing, as if it were frozen. */
class Listener implements AsyncDisposable {
  readonly #child;
  heard: string[] = [];
  constructor(netns: string, address: string) {
    this.#child = spawn('nsenter', [`--net=${netns}`, '--', process.execPath, '-e', HEAR, address], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    this.#child.stdout.on('data', (bytes: Buffer) => (this.heard = (text += bytes.toString()).split('\n').slice(1, -1)));
  }
  get pid(): number {
    return this.#child.pid!;
  }
  async ready(): Promise<void> {
    await new Promise((resolve) => this.#child.stdout.once('data', resolve));
  }
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal);
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
  }
}

async function listening(netns: string, address: string): Promise<Listener> {
  const listener = new Listener(netns, address);
  await listener.ready();
  return listener;
}

const own = (): string[] => [server.ip, server.ip6!];
const endpoint = () => ({ ip: server.ip, prefixLength: 24, ip6: server.ip6, prefixLength6: 64 });

/** All that a stopped program has not read, as it comes to the other host. */
async function unreadOf(listener: Listener): Promise<Awaited<ReturnType<typeof readUnread>>> {
  await writeFile(join(directory, 'cgroup.procs'), `${listener.pid}\n`);
  const container = { id: '', runcRoot: '', pid: listener.pid, freezer: { version: 1 as const, path: directory }, init: false };
  expect(await keepUnread({ host, log: silent }, container, own(), directory)).toBeUndefined();
  return readUnread(host, directory);
}

async function arrive(): Promise<string> {
  await b.driver.expect({ network: NETWORK.key, ip: server.ip, mac: server.mac, prefixLength: 24, ip6: server.ip6, prefixLength6: 64, interfaceName: 'eth0', netns: name });
  return `/run/coat/netns/${name}`;
}

const LENGTHS = [2, 1000, 0, 9000, 65_000, 0, 3];

it.each([
  ['another container', 4],
  ['another container, by IPv6', 6],
  ['itself', 4],
  ['itself, by IPv6', 6],
  ['itself, by 127.0.0.1', 127],
] as const)('datagrams of %s that were not read are there at the source still, and at the destination again, as they were', async (sender, family) => {
  const [from, to] = family === 127 ? ['127.0.0.1', '127.0.0.1'] : [family === 4 ? client.ip : client.ip6!, family === 4 ? server.ip : server.ip6!];
  const self = sender !== 'another container' && !sender.startsWith('another');
  await using listener = await listening(server.netns.path, family === 6 ? '::' : '0.0.0.0');
  listener.signal('SIGSTOP');
  const source = self ? to : from;
  await (self ? server.netns : client.netns).eval(SAY, to, source, ...LENGTHS);
  const table = (): Promise<string> => readFile(`/proc/${listener.pid}/net/${family === 6 ? 'udp6' : 'udp'}`, 'utf8');
  await until('them to wait', async () => waitingIn(await table())[0]?.port === 7);
  const expected = LENGTHS.map((length, index) => `${source} 9 ${length} ${`${index}.`.slice(0, length).split('.')[0]}`);
  const unread = await unreadOf(listener);
  expect(unread.map(({ data }) => data.length)).toEqual(LENGTHS);
  expect(unread[0]).toMatchObject({ from: source, fromPort: 9, to, toPort: 7, hops: 64, traffic: 0 });
  // a second look finds the same, but for those that are empty
  expect(await unreadOf(listener)).toEqual(unread.filter(({ data }) => data.length > 0));
  listener.signal('SIGCONT');
  await until('the source to read them all', () => listener.heard.length === LENGTHS.length);
  expect(listener.heard).toEqual(expected);

  await using arrived = await listening(await arrive(), family === 6 ? '::' : '0.0.0.0');
  for (const [, datagrams] of byEndpoint(unread, [endpoint()])) expect(await b.driver.putIn(NETWORK.key, server.ip, datagrams)).toBe(0);
  await until('the destination to read them all', () => arrived.heard.length === LENGTHS.length);
  expect(arrived.heard).toEqual(expected);
});

it('nothing is written where nothing waits', async () => {
  await using listener = await listening(server.netns.path, '::');
  const container = { id: '', runcRoot: '', pid: listener.pid, freezer: { version: 1 as const, path: directory }, init: false };
  expect(await keepUnread({ host, log: silent }, container, own(), directory)).toBeUndefined();
  await expect(readFile(join(directory, DATAGRAMS))).rejects.toThrow('ENOENT');
});

it('what cannot be looked at is said in a sentence', async () => {
  await using listener = await listening(server.netns.path, '0.0.0.0');
  listener.signal('SIGSTOP');
  await client.netns.eval(SAY, server.ip, client.ip, 5);
  await writeFile(join(directory, 'cgroup.procs'), '');
  const container = { id: '', runcRoot: '', pid: listener.pid, freezer: { version: 1 as const, path: directory }, init: false };
  expect(await keepUnread({ host, log: silent }, container, own(), directory)).toMatch(/lost, of 1 socket/);
});
