import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { createDriver, type Driver } from '../../driver/driver.ts';
import { run } from '../../driver/host/run.ts';
import { silent, type Log } from '../../driver/host/log.ts';
import { createKernel, type Kernel } from '../../driver/kernel/kernel.ts';
import type { Store } from '../../driver/store/store.ts';

/** A network namespace of a test, removed with everything in it when the test is over. */
export class Netns implements AsyncDisposable {
  readonly name: string;
  readonly path: string;
  readonly kernel: Kernel;
  readonly #children: ChildProcess[] = [];

  private constructor(name: string) {
    this.name = name;
    this.path = `/run/netns/${name}`;
    this.kernel = createKernel(this.path);
  }

  static async create(hint: string): Promise<Netns> {
    const netns = new Netns(`coat-t-${hint}-${randomBytes(3).toString('hex')}`);
    await run(['ip', 'netns', 'add', netns.name]);
    await netns.run('ip', 'link', 'set', 'lo', 'up');
    return netns;
  }

  /** Another name for a namespace that exists. */
  static async alias(of: string): Promise<Netns> {
    const netns = new Netns(`coat-t-alias-${randomBytes(3).toString('hex')}`);
    await writeFile(netns.path, '');
    await run(['mount', '--bind', of, netns.path]);
    return netns;
  }

  /** What to put before a program to run it in here. */
  enter(): string[] {
    return ['nsenter', `--net=${this.path}`, '--'];
  }

  async run(...argv: [string, ...string[]]): Promise<string> {
    return (await this.kernel.run(argv)).stdout;
  }

  /** Starts a piece of JavaScript in here and waits for the first line it prints. It ends with the namespace. */
  async start(script: string, ...args: string[]): Promise<void> {
    const [file, ...rest] = [...this.enter(), process.execPath, '-e', script, ...args] as [string, ...string[]];
    const child = spawn(file, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#children.push(child);
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve());
      child.once('exit', (code) => reject(new Error(`the script ended with ${code} before it was ready`)));
    });
  }

  /** Runs a piece of JavaScript in here to its end and returns what it printed, as JSON. */
  async eval<T>(script: string, ...args: (string | number)[]): Promise<T> {
    return JSON.parse(await this.run(process.execPath, '-e', script, ...args.map(String))) as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    await run(['ip', 'netns', 'del', this.name], { okCodes: [0, 1] });
  }
}

export interface TestHost {
  name: string;
  address: string;
  netns: Netns;
  driver: Driver;
  stateDir: string;
  engine: TestEngine;
  /** Ends the driver and begins a new one on the same state and kernel, as a plugin's restart does. */
  restart(): Promise<void>;
}

/** Hosts that are only network namespaces, on one Ethernet, each with a driver of its own. */
export class TestHosts implements AsyncDisposable {
  readonly hosts: TestHost[] = [];
  readonly #stack = new AsyncDisposableStackLite();

  /** @param ipv6 whether the hosts reach each other by IPv6 */
  static async create(store: Store, names: string[], { log = silent, auditEvery = 600_000, ipv6 = false }: { log?: Log; auditEvery?: number; ipv6?: boolean } = {}): Promise<TestHosts> {
    const all = new TestHosts();
    try {
      const ether = all.#stack.use(await Netns.create('ether'));
      await ether.run('ip', 'link', 'add', 'br0', 'type', 'bridge', 'forward_delay', '0');
      await ether.run('ip', 'link', 'set', 'br0', 'up');
      for (const [index, name] of names.entries()) {
        const [address, length] = ipv6 ? [`fd00:30::${index + 1}`, 64] : [`172.30.0.${index + 1}`, 24];
        const netns = all.#stack.use(await Netns.create(name));
        await ether.run('ip', 'link', 'add', `p${index}`, 'master', 'br0', 'type', 'veth', 'peer', 'name', 'up0', 'netns', netns.path);
        await ether.run('ip', 'link', 'set', `p${index}`, 'up');
        await netns.run('ip', 'address', 'add', `${address}/${length}`, 'dev', 'up0', ...(ipv6 ? ['nodad'] : []));
        await netns.run('ip', 'link', 'set', 'up0', 'up');
        const stateDir = await mkdtemp(join(tmpdir(), `coat-t-${name}-`));
        all.#stack.defer(() => rm(stateDir, { recursive: true, force: true }));
        await store.put(`hosts/${name}`, { name, address }, 'any');
        const make = (): Promise<Driver> => createDriver({ host: name, address, store, stateDir, hostRoot: '', log, kernel: netns.kernel, auditEvery });
        const host: TestHost = {
          name, address, netns, stateDir,
          driver: await make(),
          engine: undefined as unknown as TestEngine,
          restart: async () => {
            await host.driver.stop();
            host.driver = await make();
            await host.driver.start();
          },
        };
        host.engine = new TestEngine(host, all.#stack);
        await host.driver.start();
        all.#stack.defer(() => host.driver.stop());
        all.hosts.push(host);
      }
      return all;
    } catch (error) {
      await all[Symbol.asyncDispose]();
      throw error;
    }
  }

  async settled(revision: number): Promise<void> {
    await Promise.all(this.hosts.map(({ driver }) => driver.settled(revision)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.dispose();
  }
}

export interface TestContainer {
  netns: Netns;
  ip: string;
  /** Where its network has IPv6. */
  ip6: string | undefined;
  mac: string;
  endpoint: string;
}

/** Docker's half of the conversation, in the order a real engine has it (`docker run`, `docker stop`). */
export class TestEngine {
  readonly #host: TestHost;
  readonly #stack: AsyncDisposableStackLite;

  constructor(host: TestHost, stack: AsyncDisposableStackLite) {
    this.#host = host;
    this.#stack = stack;
  }

  /** One call over a real unix socket. Rejects with what Docker would show. */
  async call<T = Record<string, unknown>>(method: string, body: unknown = {}): Promise<T> {
    const { json } = await callPlugin(this.#host.driver, method, JSON.stringify(body));
    if (json.Err) throw new Error(json.Err as string);
    return json as T;
  }

  async createNetwork(subnet = '10.42.0.0/24', options: Record<string, unknown> = {}, subnet6?: string): Promise<string> {
    const id = randomBytes(32).toString('hex');
    const pool = async (wanted: string, V6: boolean): Promise<object> => {
      const { PoolID, Pool } = await this.call<{ PoolID: string; Pool: string }>('IpamDriver.RequestPool', { AddressSpace: 'coat', Pool: wanted, SubPool: '', Options: {}, V6 });
      const gateway = await this.call<{ Address: string }>('IpamDriver.RequestAddress', { PoolID, Address: '', Options: { RequestAddressType: 'com.docker.network.gateway' } });
      return { AddressSpace: 'coat', Gateway: gateway.Address, Pool };
    };
    const [IPv4Data, IPv6Data] = [[await pool(subnet, false)], subnet6 === undefined ? [] : [await pool(subnet6, true)]];
    await this.call('NetworkDriver.CreateNetwork', {
      NetworkID: id,
      Options: { 'com.docker.network.enable_ipv4': true, 'com.docker.network.generic': {}, ...options },
      IPv4Data,
      IPv6Data,
    });
    return id;
  }

  /** RequestAddress, CreateEndpoint, Join, and what libnetwork does with the interface. */
  async run(network: string, { subnet = '10.42.0.0/24', ip = '', subnet6, ip6 = '' }: { subnet?: string; ip?: string; subnet6?: string; ip6?: string } = {}): Promise<TestContainer> {
    const endpoint = randomBytes(32).toString('hex');
    const lease = async (pool: string, wish: string): Promise<string> => (await this.call<{ Address: string }>('IpamDriver.RequestAddress', { PoolID: `coat/${pool}`, Address: wish, Options: null })).Address;
    const Address = await lease(subnet, ip);
    const AddressIPv6 = subnet6 === undefined ? '' : await lease(subnet6, ip6);
    const created = await this.call<{ Interface: { MacAddress: string } }>('NetworkDriver.CreateEndpoint', {
      NetworkID: network, EndpointID: endpoint, Interface: { Address, AddressIPv6, MacAddress: '' }, Options: {},
    });
    const joined = await this.call<{ InterfaceName?: { SrcName: string }; Gateway?: string; GatewayIPv6?: string }>('NetworkDriver.Join', { NetworkID: network, EndpointID: endpoint, SandboxKey: '/var/run/docker/netns/x', Options: {} });
    const netns = this.#stack.use(await Netns.create('c'));
    const src = joined.InterfaceName!.SrcName;
    await this.#host.netns.run('ip', 'link', 'set', src, 'netns', netns.path);
    await netns.run('ip', 'link', 'set', src, 'name', 'eth0');
    await netns.run('ip', 'address', 'add', Address, 'dev', 'eth0');
    if (AddressIPv6 === '') await netns.kernel.run(['tee', '/proc/sys/net/ipv6/conf/eth0/disable_ipv6'], { input: '1', okCodes: [0, 1] });
    else await netns.run('ip', 'address', 'add', AddressIPv6, 'dev', 'eth0', 'nodad');
    await netns.run('ip', 'link', 'set', 'eth0', 'up');
    if (joined.Gateway) await netns.run('ip', 'route', 'add', 'default', 'via', joined.Gateway);
    if (joined.GatewayIPv6) await netns.run('ip', 'route', 'add', 'default', 'via', joined.GatewayIPv6);
    return { netns, ip: Address.split('/')[0]!, ip6: AddressIPv6.split('/')[0] || undefined, mac: created.Interface.MacAddress, endpoint };
  }

  async stop(network: string, { endpoint, ip }: { endpoint: string; ip: string }, subnet = '10.42.0.0/24'): Promise<void> {
    await this.call('NetworkDriver.Leave', { NetworkID: network, EndpointID: endpoint });
    await this.call('NetworkDriver.DeleteEndpoint', { NetworkID: network, EndpointID: endpoint });
    await this.call('IpamDriver.ReleaseAddress', { PoolID: `coat/${subnet}`, Address: ip });
  }
}

/** Interfaces of ours on a host, and tables of rules; but for the one that keeps others from its tunnels while it has no network. */
export async function traces({ netns }: TestHost): Promise<string[]> {
  const links = (JSON.parse(await netns.run('ip', '-j', 'link')) as { ifname: string }[]).map(({ ifname }) => ifname).filter((name) => /^c[bxvi]/.test(name));
  const rules = await netns.run('nft', '--stateless', 'list', 'ruleset');
  const tables = rules.split(/^table /m).slice(1).filter((table) => !table.startsWith('inet coat {') || table.includes('chain postrouting'));
  return [...links, ...tables.map((table) => table.slice(0, table.indexOf(' {')))];
}

/** One request as dockerd sends it: over a unix socket, without a Content-Type. */
export async function callPlugin({ app }: Pick<Driver, 'app'>, method: string, body: string): Promise<{ status: number; json: Record<string, unknown> }> {
  const server = createServer(app as never);
  const socketPath = join(tmpdir(), `coat-t-${randomBytes(6).toString('hex')}.sock`);
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  try {
    return await new Promise((resolve, reject) => {
      const headers = { Accept: 'application/vnd.docker.plugins.v1.2+json', 'Content-Length': Buffer.byteLength(body) };
      const call = request({ socketPath, path: `/${method}`, method: 'POST', headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, json: JSON.parse(text) as Record<string, unknown> }));
      });
      // a body that is refused for its size is not read to its end
      call.on('socket', (socket) => socket.on('error', () => undefined));
      call.on('error', reject).end(body);
    });
  } finally {
    server.close();
  }
}

/** Node 20 has no AsyncDisposableStack. */
class AsyncDisposableStackLite {
  readonly #steps: (() => Promise<unknown>)[] = [];

  use<T extends AsyncDisposable>(value: T): T {
    this.defer(async () => value[Symbol.asyncDispose]());
    return value;
  }

  defer(step: () => Promise<unknown>): void {
    this.#steps.push(step);
  }

  async dispose(): Promise<void> {
    for (const step of this.#steps.splice(0).reverse()) await step();
  }
}

/** Echoes every datagram that comes to UDP port 7. */
export const ECHO = `
const s = require('dgram').createSocket('udp4');
s.on('message', (m, from) => s.send(m, from.port, from.address)).bind(7, () => console.log('ready'));`;

/** Arguments: address, how many, ms between, ms to wait at the end. Prints the numbers that came back, in order. */
export const PING = `
const [to, count, every, wait] = process.argv.slice(1);
const s = require('dgram').createSocket('udp4'), got = [];
s.on('message', (m) => got.push(Number(m)));
s.on('error', () => {});
let sent = 0;
const next = () => { if (sent < count) { s.send(String(sent++), 7, to, () => {}); setTimeout(next, every); } else setTimeout(() => { console.log(JSON.stringify(got)); process.exit(); }, wait); };
next();`;

/** Records the numbers that come to UDP port 7, and prints them when asked on UDP port 8. */
export const RECORD = `
const d = require('dgram'), got = [];
d.createSocket('udp4').on('message', (m) => got.push(Number(m))).bind(7);
const q = d.createSocket('udp4');
q.on('message', (m, from) => q.send(JSON.stringify(got), from.port, from.address)).bind(8, () => console.log('ready'));`;

/** Asks a {@link RECORD} in the same namespace. */
export const RECORDED = `
const s = require('dgram').createSocket('udp4');
s.on('message', (m) => { console.log(String(m)); process.exit(); });
s.send('?', 8, '127.0.0.1');`;
