import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoatError } from '../../driver/host/errors.ts';
import { silent } from '../../driver/host/log.ts';
import { formatAddress, parseAddress } from '../../driver/ipam/address.ts';
import { endpointMac } from '../../driver/overlay/names.ts';
import { type Claim, claimPath, hostKey, networkKey } from '../../driver/overlay/records.ts';
import type { Store, Write } from '../../driver/store/store.ts';
import { EtcdChild } from '../../plugin/agent/etcd/child.ts';
import { EtcdStore } from '../../plugin/agent/etcd/store.ts';
import { baseRootfs } from '../../plugin/image/base.ts';
import { until } from '../../driver/host/until.ts';
import { median } from '../statistics.ts';
import type { AgentConfig, AgentFacts } from './agent.ts';
import { AgentChild, bundleAgent } from './child.ts';
import { startEngine } from './engine.ts';

const ME = 'me';
const NETWORK = { id: 'f00d'.repeat(16), name: 'shop', subnet: '10.64.0.0/16', gateway: '10.64.0.1' };
/** The one that this host has itself; an agent gives the first address of a network first. */
const ENDPOINT = { id: 'beef'.repeat(16), address: '10.64.0.2/16' };
const KEY = networkKey(NETWORK.subnet);
/** Writes of one transaction; etcd takes 128. */
const BATCH = 100;
/** Between two changes, ms: longer than the agent gathers what it writes to its disk, so that each pays for that alone. */
const PAUSE_MS = 250;
/** Until what follows a start is over, ms: the agent looks at everything soon after it, and then seldom. */
const CALM_MS = 5_000;

export interface ScaleOptions {
  hosts: number;
  /** Of each host. */
  endpoints: number;
  /** How long the agent is left alone, s. */
  idle: number;
  changes: number;
  signal: AbortSignal;
  log: (line: string) => void;
}

/** Processor time as a part of one core. */
export interface ScaleResult {
  hosts: number;
  endpoints: number;
  /** From the start of its process until the kernel has all, ms. */
  convergence: number;
  /** Processor time until then, ms. */
  convergenceCpu: number;
  /** Entries in the kernel. */
  entries: number;
  /** Of one core, while nothing happens. */
  idle: number;
  /** Resident, bytes: while nothing happens, and the most there ever was. */
  memory: number;
  peak: number;
  /** Each time that an endpoint changes its host: processor time, also for writing it down, ms; and from the write until the kernel has it, ms. */
  changeCpu: number[];
  changeMs: number[];
}

/** One agent with a real store, many hosts that are only records, and a kernel that only records. */
export async function measureScale({ hosts, endpoints, idle, changes, signal, log }: ScaleOptions): Promise<ScaleResult> {
  // where the machine has no etcd, that of the plugin
  if (spawnSync('etcd', ['--version']).error) process.env['PATH'] += `:${await baseRootfs(log)}/usr/bin`;
  const directory = await mkdtemp(join(tmpdir(), 'coat-scale-'));
  const etcd = new EtcdChild({ name: ME, data: join(directory, 'data'), sockets: join(directory, 'sockets'), log: silent });
  const config: AgentConfig = { host: ME, address: '192.168.255.1', etcd: etcd.socket, docker: join(directory, 'docker.sock'), plugin: join(directory, 'coat.sock'), stateDir: join(directory, 'state'), kernel: join(directory, 'kernel.json') };
  const store = new EtcdStore(async () => {
    const socket = connect(etcd.socket);
    await once(socket, 'connect');
    return socket;
  });
  let agent: AgentChild | undefined;
  let engine: Awaited<ReturnType<typeof startEngine>> | undefined;
  try {
    await etcd.start();
    engine = await startEngine(config.docker, NETWORK, ENDPOINT);
    const program = await bundleAgent(directory);
    agent = await AgentChild.start(program, config);
    await firstEndpoint(agent, store);
    await agent.stop();
    const claims = await populate(store, hosts, endpoints);
    signal.throwIfAborted();

    agent = await AgentChild.start(program, config);
    const full = await agent.ask({ do: 'settled', revision: (await store.list(hostKey(ME))).revision });
    const { entries = 0 } = await agent.ask({ do: 'count' });
    const convergence = full.at - agent.began;
    log(`${hosts} hosts, ${claims.length} endpoints: ${entries} entries after ${convergence} ms`);
    await sleep(CALM_MS, undefined, { signal });
    const [before, after] = await during(agent, () => sleep(idle * 1000, undefined, { signal }));
    const share = (after.cpu - before.cpu) / 1000 / (after.at - before.at);
    log(`${(share * 100).toFixed(2)} % of a core in ${idle} s`);
    // or the kernel that only records would be one in which there is always something to put right
    if (after.repaired !== before.repaired) throw new CoatError('bench-scale', `while nothing happened, ${after.repaired - before.repaired} things were put right`);

    const [changeMs, changeCpu]: [number[], number[]] = [[], []];
    for (let index = 0; index < changes; index += 1) {
      const claim = claims[Math.floor((index * claims.length) / changes)]!;
      const [first, last] = await during(agent, async () => {
        const began = Date.now();
        const revision = await store.put(claimPath(KEY, claim.ip), { ...claim, host: hostName((index + 1) % hosts), epoch: 2 }, 'any');
        changeMs.push((await agent!.ask({ do: 'settled', revision })).at - began);
        await sleep(PAUSE_MS, undefined, { signal });
      });
      changeCpu.push((last.cpu - first.cpu) / 1000);
    }
    const { peak, entries: left } = await agent.ask({ do: 'count' });
    if (left !== entries) throw new CoatError('bench-scale', `the kernel had ${entries} entries, and has ${left} in the end`);
    log(`a change: ${median(changeCpu).toFixed(2)} ms of processor time, in the kernel after ${median(changeMs)} ms`);
    await agent.stop();
    agent = undefined;
    return {
      hosts, endpoints: claims.length, entries, convergence, convergenceCpu: full.cpu / 1000,
      idle: share, memory: after.rss, peak, changeCpu, changeMs,
    };
  } finally {
    agent?.kill();
    engine?.closeAllConnections();
    engine?.close();
    await store.close();
    await etcd.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

const hostName = (index: number): string => `h${String(index).padStart(4, '0')}`;

/** Facts from before and after something. */
async function during(agent: AgentChild, work: () => Promise<unknown>): Promise<[AgentFacts, AgentFacts]> {
  const before = await agent.ask({ do: 'facts' });
  await work();
  return [before, await agent.ask({ do: 'facts' })];
}

/** What Docker does when a network is created and a container is started on it: without one a host has nothing to converge to. */
async function firstEndpoint(agent: AgentChild, store: Store): Promise<void> {
  const { id: NetworkID, name, subnet, gateway } = NETWORK;
  const EndpointID = ENDPOINT.id;
  const { PoolID } = await agent.call<{ PoolID: string }>('IpamDriver.RequestPool', { Pool: subnet });
  await agent.call('IpamDriver.RequestAddress', { PoolID, Address: gateway, Options: { RequestAddressType: 'com.docker.network.gateway' } });
  await agent.call('NetworkDriver.CreateNetwork', { NetworkID, Options: {}, IPv4Data: [{ AddressSpace: 'coat', Pool: subnet, Gateway: `${gateway}/16` }], IPv6Data: [] });
  const { Address } = await agent.call<{ Address: string }>('IpamDriver.RequestAddress', { PoolID, Address: '' });
  await agent.call('NetworkDriver.CreateEndpoint', { NetworkID, EndpointID, Interface: { Address } });
  await agent.call('NetworkDriver.Join', { NetworkID, EndpointID, SandboxKey: '' });
  // which the agent has asked its engine for, or is about to
  await until('the network to have its name', async () => ((await store.get(`networks/${KEY}`))?.value as { name?: string }).name === name);
}

/** Writes the records of all hosts and of their containers. @returns the claims */
async function populate(store: Store, hosts: number, endpoints: number): Promise<Claim[]> {
  const writes: Write[] = [];
  const claims: Claim[] = [];
  const base = parseAddress(NETWORK.gateway) + 100n;
  for (let host = 0; host < hosts; host += 1) {
    const name = hostName(host);
    writes.push({ key: hostKey(name), value: { name, address: `192.168.${Math.floor(host / 250)}.${(host % 250) + 1}`, version: '0.1.0' }, expected: 'any' });
    for (let index = 0; index < endpoints; index += 1) {
      const ip = formatAddress(base + BigInt(claims.length));
      const container = `server-${host}-${index}`;
      const claim: Claim = { network: KEY, ip, host: name, epoch: 1, mac: endpointMac(ip), container, names: [container, ip.replaceAll('.', '') + 'abcdef'] };
      claims.push(claim);
      writes.push({ key: claimPath(KEY, ip), value: claim, expected: 'any' });
    }
  }
  for (let at = 0; at < writes.length; at += BATCH) await store.putAll(writes.slice(at, at + BATCH));
  return claims;
}
