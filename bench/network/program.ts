import type { ChildProcess } from 'node:child_process';
import { request } from 'node:http';
import { join } from 'node:path';
import { CoatError } from '../../driver/host/errors.ts';
import { until } from '../../driver/host/until.ts';
import { NETWORK, docker, removeContainers } from '../../lab/demo/stage.ts';
import type { LabHost } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';

const KEEPER = 'bench-keep';
const IMAGE = 'coat-lab/workloads';
const SUBNET = '10.42.0.0/24';

/** One new endpoint: how long after Join had returned each host had it in its kernel, ms. Negative: before. */
export type Programmed = Record<string, number>;

export interface ProgramOptions {
  count: number;
  signal: AbortSignal;
  tell: (done: number) => void;
}

/**
 * Makes endpoints on the first host as Docker would, by the plugin's own socket, and sees in the kernel of each host when it has
 * them. What the kernels say is written down with the time by ip-monitor(8), on the one clock that the hosts of a lab share.
 * Each host has a container on the network all the time, or it would need nothing.
 */
export async function measureProgramming(lab: Lab, { count, signal, tell }: ProgramOptions): Promise<Programmed[]> {
  const [maker] = lab.hosts as [LabHost];
  await removeContainers(lab, [KEEPER]);
  const watches: Watch[] = [];
  try {
    await Promise.all(lab.hosts.map((host) => docker(host, ['run', '--detach', '--init', '--name', KEEPER, '--network', NETWORK, IMAGE, 'sleep', 'infinity'], signal)));
    const network = await docker(maker, ['network', 'inspect', '--format', '{{.Id}}', NETWORK], signal);
    watches.push(...lab.hosts.map((host) => new Watch(host)));
    await Promise.all(watches.map((watch) => watch.listens()));
    const found: Programmed[] = [];
    // what is done for the first time is not counted
    for (let index = -1; index < count; index += 1) {
      signal.throwIfAborted();
      const programmed = await endpoint(maker, network, `${'be'.repeat(28)}${String(index + 1).padStart(8, '0')}`, watches);
      if (index >= 0) found.push(programmed);
      tell(index + 1);
    }
    return found;
  } finally {
    for (const watch of watches) watch.stop();
    await removeContainers(lab, [KEEPER]);
  }
}

async function endpoint(host: LabHost, NetworkID: string, EndpointID: string, watches: readonly Watch[]): Promise<Programmed> {
  const PoolID = `coat/${SUBNET}`;
  const { Address } = await call<{ Address: string }>(host, 'IpamDriver.RequestAddress', { PoolID, Address: '' });
  const ip = Address.split('/')[0]!;
  try {
    const created = await call<{ Interface: { MacAddress: string } }>(host, 'NetworkDriver.CreateEndpoint', { NetworkID, EndpointID, Interface: { Address } });
    await call(host, 'NetworkDriver.Join', { NetworkID, EndpointID, SandboxKey: '' });
    const joined = Date.now();
    const mac = created.Interface.MacAddress;
    const times = await Promise.all(watches.map(async (watch) => [watch.host.name, (await watch.saw(ip, mac, watch.host === host)) - joined] as const));
    return Object.fromEntries(times);
  } finally {
    await call(host, 'NetworkDriver.DeleteEndpoint', { NetworkID, EndpointID });
    await call(host, 'IpamDriver.ReleaseAddress', { PoolID, Address: ip });
    await Promise.all(watches.map((watch) => watch.lost(ip)));
  }
}

/** What a host's kernel says about its entries. */
class Watch {
  readonly host: LabHost;
  readonly #child: ChildProcess;
  #lines: string[] = [];
  #rest = '';

  constructor(host: LabHost) {
    this.host = host;
    this.#child = host.spawn(['env', 'TZ=UTC', 'ip', '-tshort', '-o', 'monitor', 'neigh'], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop() ?? '';
      this.#lines.push(...lines);
    });
  }

  /** Waits until it hears of everything: its socket is in the kernel's group for neighbours (rtnetlink(7), RTMGRP_NEIGH). */
  async listens(): Promise<void> {
    const listening = async (): Promise<boolean> => / 00000004 /.test((await this.host.exec(['cat', '/proc/net/netlink'])).stdout);
    await until(`ip-monitor to listen on ${this.host.name}`, listening, { timeout: 10_000 });
  }

  /** When the last of the entries of an endpoint was there, ms since 1970; a host has two of its own endpoints and three of others'. */
  async saw(ip: string, mac: string, own: boolean): Promise<number> {
    const find = (): number | undefined => {
      const entries = this.#lines.filter((line) => !line.includes('Deleted') && line.includes(mac) && / (NOARP|PERMANENT)/.test(line)).map(readEntry);
      const neighbour = entries.find((entry) => entry.ip === ip && entry.dev.startsWith('cb'));
      const forward = entries.find((entry) => entry.ip === undefined && entry.dev.startsWith(own ? 'cv' : 'cx'));
      const tunnel = entries.find((entry) => entry.ip !== undefined && entry.dev.startsWith('cx'));
      if (!neighbour || !forward || (!own && !tunnel)) return undefined;
      return Math.max(neighbour.at, forward.at, tunnel?.at ?? 0);
    };
    return until(`the entries of ${ip} on ${this.host.name}`, find, { timeout: 10_000, every: 5 });
  }

  /** Waits until the endpoint is gone again, and forgets what was said of it. */
  async lost(ip: string): Promise<void> {
    await until(`${ip} to go from ${this.host.name}`, () => this.#lines.some((line) => line.includes('Deleted') && line.includes(` ${ip} dev cb`)), { timeout: 10_000, every: 5 });
    this.#lines = [];
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}

/** One line of `ip -tshort -o monitor neigh`. @throws CoatError `bench-monitor` */
export function readEntry(line: string): { at: number; ip: string | undefined; dev: string } {
  const [, time, ip, dev] = /^\[([^\]]+)\] (?:(\S+) )?dev (\S+) /.exec(line) ?? [];
  if (time === undefined || dev === undefined) throw new CoatError('bench-monitor', `ip-monitor said "${line}"`);
  return { at: Date.parse(`${time}Z`), ip, dev };
}

/** A call of Docker. */
function call<T>(host: LabHost, method: string, body: unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: join(host.root, 'run/docker/plugins/coat.sock'), path: `/${method}`, method: 'POST' }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => (response.statusCode === 200 ? resolve(JSON.parse(text) as T) : reject(new CoatError('bench-plugin', `${method}: ${text}`))));
    });
    asked.on('error', reject).end(JSON.stringify(body));
  });
}
