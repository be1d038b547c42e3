import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { run } from '../../driver/host/run.ts';
import { until } from '../../driver/host/until.ts';
import { takeDown } from '../../lab/destroy.ts';
import type { LabHost } from '../../lab/host.ts';
import { WORKLOADS } from '../../lab/images/workloads.ts';
import { hierarchies } from '../../lab/kernel/hierarchies.ts';
import { Lab } from '../../lab/lab.ts';
import { isNetnsOf, labPlaces, NETNS } from '../../lab/places.ts';
import { ownLab } from '../support/own-lab.ts';

const MAIN = join(import.meta.dirname, '../../lab/main.ts');

/** The lab's command line, as an argument list. */
const cli = (...args: string[]): [string, ...string[]] => [process.execPath, '--import', 'tsx', MAIN, ...args];

/** Docker inside a host, to its end; what it printed, without the last line's end. */
const docker = async (host: LabHost, ...args: string[]): Promise<string> => (await host.exec(['docker', ...args])).stdout.trim();

const ping = async (from: LabHost, to: LabHost): Promise<boolean> =>
  (await from.exec(['ping', '-c', '1', '-W', '1', to.address], { okCodes: [0, 1] })).code === 0;

describe('a lab', () => {
  const name = ownLab('lab');
  let lab: Lab;
  let h1: LabHost;
  let h2: LabHost;
  let before: Machine;

  beforeAll(async () => {
    await takeDown(name);
    before = await machine(name);
    lab = await Lab.up({ name, hosts: 2, engines: [26, 28], plugin: false });
    [h1, h2] = [lab.host('h1'), lab.host('h2')];
  });
  afterAll(() => takeDown(name));

  test('has an engine of each generation, and each runs a container', async () => {
    expect(await docker(h1, 'version', '--format', '{{.Server.Version}}')).toMatch(/^26\./);
    expect(await docker(h2, 'version', '--format', '{{.Server.Version}}')).toMatch(/^28\./);
    for (const host of lab.hosts) expect(await docker(host, 'run', '--rm', WORKLOADS, 'echo', `from ${host.name}`)).toBe(`from ${host.name}`);
  });

  test('hosts reach each other by name, and see the shared directory', async () => {
    await writeFile(join(lab.shared, 'note'), 'for all');
    expect((await h2.exec(['cat', '/share/note'])).stdout).toBe('for all');
    await h1.exec(['ping', '-c', '1', '-W', '1', 'h2']);
  });

  test('docker compose brings an application up and down', async () => {
    const web = { image: WORKLOADS, pull_policy: 'never', command: ['python3', '-m', 'http.server', '80'] };
    const client = { ...web, command: ['sleep', '1000'] };
    await writeFile(join(lab.shared, 'compose.yaml'), JSON.stringify({ services: { web, client } }));
    const compose = (...args: string[]): Promise<string> => docker(h2, 'compose', '--file', '/share/compose.yaml', '--project-name', 'app', ...args);
    await compose('up', '--detach', '--wait');
    expect((await compose('ps', '--format', '{{.Service}} {{.State}}')).split('\n').sort()).toEqual(['client running', 'web running']);
    await until('one service to reach the other', async () => (await compose('exec', '-T', 'client', 'bash', '-c', 'echo > /dev/tcp/web/80 && echo reached')) === 'reached');
    await compose('down', '--timeout', '0');
    expect(await compose('ps', '--all', '--quiet')).toBe('');
  });

  test('exec passes on the exit code, a signal, and standard input and output', async () => {
    expect((await run(cli('exec', '--name', name, 'h1', '--', 'sh', '-c', 'exit 7'), { okCodes: [7] })).code).toBe(7);
    expect((await run(cli('exec', '--name', name, 'h1', '--', 'sh', '-c', 'kill -TERM $$'), { okCodes: [143] })).code).toBe(143);
    const input = Buffer.alloc(3 << 20, 'some bytes ');
    expect((await run(cli('exec', '--name', name, 'h2', 'cat'), { input })).stdout).toBe(input.toString());
  });

  test('exec works in a terminal', async () => {
    const inTerminal = (command: string): Promise<{ stdout: string; code: number }> =>
      run(['script', '--quiet', '--return', '--command', `${cli('exec', '--name', name, 'h1', '--').join(' ')} ${command}`, '/dev/null'], { okCodes: [0, 3] });
    expect(await inTerminal(`sh -c 'test -t 0 && test -t 1 && exit 3'`)).toMatchObject({ code: 3 });
    expect((await inTerminal(`docker run --rm --tty --interactive ${WORKLOADS} tty`)).stdout).toContain('/dev/pts/0');
  });

  test('a cut keeps two hosts apart until it is healed', async () => {
    expect(await ping(h1, h2)).toBe(true);
    await lab.cut('h1', 'h2');
    expect(await ping(h1, h2)).toBe(false);
    expect(await ping(h2, h1)).toBe(false);
    await lab.heal();
    expect(await ping(h1, h2)).toBe(true);
  });

  test('a limit makes a link slow in both directions', async () => {
    const free = await throughput(h1, h2);
    await lab.limit('h1', '200mbit');
    for (const direction of ['to', 'from'] as const) expect(await throughput(h1, h2, direction)).toBeLessThan(free / 3);
    await lab.limit('h1', null);
    expect(await throughput(h1, h2)).toBeGreaterThan(free / 3);
  });

  test('a killed host starts again with its disk, its cuts and its limit as they were', async () => {
    await h2.exec(['sh', '-c', 'echo kept > /root/file; sync']);
    await docker(h2, 'run', '--detach', '--name', 'again', WORKLOADS, 'sh', '-c', 'echo once more >> /log; exec sleep 1000');
    const free = await throughput(h1, h2);
    await lab.limit('h2', '200mbit');
    await lab.cut('h1', 'h2');

    await lab.kill('h2');
    expect(h2.running).toBe(false);
    await expect(async () => h2.exec(['true'])).rejects.toMatchObject({ code: 'host-down' });
    await lab.start('h2');

    expect((await h2.exec(['cat', '/root/file'])).stdout).toBe('kept\n');
    expect(await docker(h2, 'inspect', '--format', '{{.State.Running}}', 'again')).toBe('false');
    await docker(h2, 'start', 'again');
    expect(await docker(h2, 'exec', 'again', 'cat', '/log')).toBe('once more\nonce more');
    expect(await ping(h1, h2)).toBe(false);
    await lab.heal();
    expect(await throughput(h1, h2)).toBeLessThan(free / 3);
  });

  test('one that is up cannot be made again', async () => {
    await expect(Lab.up({ name, plugin: false })).rejects.toMatchObject({ code: 'lab-exists' });
  });

  test('down leaves nothing', async () => {
    const lived = await lifeOf(name);
    expect(lived.pids.size).toBeGreaterThan(10);
    await lab.down();
    await nothingLeft(name, before, lived);
    await expect(Lab.open(name)).rejects.toMatchObject({ code: 'no-lab' });
  });
});

describe('a lab whose engines see cgroup version 2', () => {
  const name = 't-lab-v2';
  afterAll(() => takeDown(name));

  test('runs containers, and CRIU dumps one', async () => {
    await takeDown(name);
    await using lab = await Lab.up({ name, hosts: 1, engines: [28], cgroup: 2, plugin: false });
    const host = lab.host('h1');
    expect(await docker(host, 'info', '--format', '{{.CgroupVersion}}')).toBe('2');
    const id = await docker(host, 'run', '--detach', WORKLOADS, 'sleep', '1000');
    await host.exec(['runc', '--root', '/run/docker/runtime-runc/moby', 'checkpoint', '--image-path', '/tmp/images', '--work-path', '/tmp', id]);
    expect((await host.exec(['ls', '/tmp/images'])).stdout).toMatch(/^core-1\.img$/m);
    await until('the dumped container to be gone', async () => (await docker(host, 'inspect', '--format', '{{.State.Running}}', id)) === 'false');
  });
});

describe('a lab whose maker is killed', () => {
  const name = 't-lab-killed';
  afterAll(() => takeDown(name));

  test('is removed by down, and can be made again', async () => {
    await takeDown(name);
    const before = await machine(name);
    // at different moments: while disks are copied, and while engines start
    for (const moment of [20, 250]) {
      await killedUp(name, moment);
      const lived = await lifeOf(name);
      await takeDown(name);
      await nothingLeft(name, before, lived);
    }
    await killedUp(name, 100);
    await using lab = await Lab.up({ name, hosts: 1, plugin: false });
    expect(await docker(lab.host('h1'), 'version', '--format', '{{.Server.Version}}')).toMatch(/^26\./);
  });

  test('is removed by its maker when that is only asked to end', async () => {
    const before = await machine(name);
    const up = spawn(process.execPath, cli('up', '--name', name, '--no-plugin').slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });
    await once(up.stderr, 'data');
    const lived = await lifeOf(name);
    expect(await ended(up, 'SIGTERM')).toBe(1);
    await nothingLeft(name, before, lived);
  });

  test('down waits for a live up, and then removes it', async () => {
    const before = await machine(name);
    const up = spawn(process.execPath, cli('up', '--name', name, '--hosts', '1', '--no-plugin').slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });
    await once(up.stderr, 'data');
    const told: string[] = [];
    await Promise.all([once(up, 'exit'), takeDown(name, (line) => told.push(line))]);
    expect(told).toEqual([`waiting for "up" of lab ${name} (process ${up.pid}) to end`]);
    await nothingLeft(name, before);
  });
});

/** Tells a program to end, and waits until it has: on a quick machine it may have done what it was to do. @returns its exit code */
async function ended(program: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const exit = once(program, 'exit');
  if (program.exitCode === null && program.signalCode === null) {
    program.kill(signal);
    await exit;
  }
  return program.exitCode;
}

/** Begins to make a lab and is killed some ms after it began to boot its hosts. */
async function killedUp(name: string, ms: number): Promise<void> {
  const up = spawn(process.execPath, cli('up', '--name', name, '--hosts', '2', '--no-plugin').slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });
  await once(up.stderr, 'data');
  await sleep(ms);
  await ended(up, 'SIGKILL');
}

/** Bits per second from h2 to h1 (`to`) or back, in about a second. */
async function throughput(h1: LabHost, h2: LabHost, direction: 'to' | 'from' = 'to'): Promise<number> {
  const server = h1.spawn(['docker', 'run', '--rm', '--network', 'host', WORKLOADS, 'iperf3', '--server', '--one-off'], { stdio: 'ignore' });
  await until('iperf3 to listen', async () => (await h1.exec(['ss', '-Hltn', 'sport', '=', ':5201'])).stdout !== '');
  const client = ['run', '--rm', '--network', 'host', WORKLOADS, 'iperf3', '--client', h1.address, '--time', '1', '--json'];
  const report = JSON.parse(await docker(h2, ...client, ...(direction === 'from' ? ['--reverse'] : []))) as { end: { sum_received: { bits_per_second: number } } };
  if (server.exitCode === null) await once(server, 'exit');
  return report.end.sum_received.bits_per_second;
}

/** What of this machine a lab must not change; other labs may come and go meanwhile. */
interface Machine {
  mounts: string[];
  links: string[];
}

async function machine(name: string): Promise<Machine> {
  const points = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map((line) => line.split(' ')[4] ?? '');
  const links = (await run(['ip', '-oneline', 'link'])).stdout.split('\n').map((line) => line.split(':')[1]?.trim() ?? '');
  const ours = (point: string): boolean => !point.startsWith(NETNS) || isNetnsOf(name, point.slice(NETNS.length + 1));
  return { mounts: points.filter(ours).sort(), links: links.sort() };
}

/** What lives in the kernel because of a lab: its processes, each with the time it began, and their namespaces. */
interface Life {
  pids: Map<number, string>;
  namespaces: Set<string>;
}

async function lifeOf(name: string): Promise<Life> {
  const machineOwn = new Set(await namespacesOf(process.pid));
  const life: Life = { pids: new Map(), namespaces: new Set() };
  for (const group of await groupsOf(name)) {
    const files = (await readdir(group, { recursive: true })).filter((file) => file.endsWith('cgroup.procs'));
    for (const pid of (await Promise.all(files.map((file) => contentOf(join(group, file))))).join('').split('\n').map(Number)) {
      const start = pid === 0 ? '' : await startOf(pid);
      if (start === '') continue;
      life.pids.set(pid, start);
      for (const namespace of await namespacesOf(pid)) if (!machineOwn.has(namespace)) life.namespaces.add(namespace);
    }
  }
  return life;
}

async function nothingLeft(name: string, before: Machine, lived?: Life): Promise<void> {
  expect(await groupsOf(name)).toEqual([]);
  expect((await readdir(NETNS)).filter((netns) => isNetnsOf(name, netns))).toEqual([]);
  const { base, lock } = labPlaces(name);
  expect([base, lock].filter((path) => existsSync(path))).toEqual([]);
  expect(await machine(name)).toEqual(before);
  if (lived === undefined) return;
  // the kernel takes a moment to finish with a process, and longer with the namespaces it was the last in
  await vi.waitFor(async () => {
    const alive = await Promise.all([...lived.pids].map(async ([pid, start]) => ((await startOf(pid)) === start ? [pid] : [])));
    expect(alive.flat()).toEqual([]);
    const inUse = new Set((await Promise.all((await allPids()).map(namespacesOf))).flat());
    expect([...lived.namespaces].filter((namespace) => inUse.has(namespace))).toEqual([]);
  }, { timeout: 5_000, interval: 100 });
}

async function groupsOf(name: string): Promise<string[]> {
  return (await hierarchies()).map((hierarchy) => join(hierarchy.path, 'coat-lab', name)).filter((path) => existsSync(path));
}

const allPids = async (): Promise<number[]> => (await readdir('/proc')).map(Number).filter((pid) => pid > 0);

/** None for a dead process that nobody has collected yet. */
async function namespacesOf(pid: number): Promise<string[]> {
  if ((await startOf(pid)) === '') return [];
  const kinds = ['mnt', 'pid', 'net', 'uts', 'ipc', 'cgroup'];
  return (await Promise.all(kinds.map((kind) => readlink(`/proc/${pid}/ns/${kind}`).catch(() => '')))).filter(Boolean);
}

/** When a process began, in clock ticks since the machine did; '' when there is none, or a dead one not yet collected. */
async function startOf(pid: number): Promise<string> {
  const [state, ...fields] = (await contentOf(`/proc/${pid}/stat`)).replace(/^.*\) /s, '').split(' ');
  return state === 'Z' || state === 'X' ? '' : (fields[18] ?? '');
}

const contentOf = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
