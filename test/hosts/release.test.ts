import { chmod, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silent } from '../../driver/host/log.ts';
import { run } from '../../driver/host/run.ts';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { daemonJson } from '../../lab/disk.ts';
import { Lab } from '../../lab/lab.ts';
import type { HostFile, Status } from '../../plugin/agent/api.ts';
import { removeFromHost } from '../../plugin/agent/files.ts';
import { pathsUnder } from '../../plugin/agent/paths.ts';
import type { SetupDependencies } from '../../plugin/agent/setup.ts';
import { connectEngine } from '../../plugin/engine/connection.ts';
import { EXECUTABLE, PLUGIN_ARCHIVE, RELEASE } from '../../plugin/image/places.ts';
import { makeRelease } from '../../plugin/image/release.ts';
import { ownLab } from '../support/own-lab.ts';

/**
 * The release on hosts that have Docker and nothing else, neither Node nor CRIU, by the steps of docs/install.md. Its tests
 * are one story, on a lab of its own: an engine of each generation.
 */
const NAME = ownLab('release');
const PLUGIN = 'coat/agent:release';
const PATIENCE_MS = 60_000;
/** An engine's settings before COAT: the lab's own, which have the runtime already, without it. */
const { runtimes: _coat, ...BEFORE } = daemonJson() as Record<string, unknown>;
const SETTINGS = `${JSON.stringify(BEFORE, undefined, '\t')}\n`;

let lab: Lab;
let hosts: readonly LabHost[];
const docker = async (host: LabHost, ...args: string[]): Promise<string> => (await host.exec(['docker', ...args], { timeout: PATIENCE_MS })).stdout.trim();
const coat = async <T>(host: LabHost, ...args: string[]): Promise<T> => JSON.parse(await docker(host, 'coat', ...args, '--json')) as T;
const settings = (host: LabHost): string => join(host.root, 'etc/docker/daemon.json');
const knowsRuntime = async (host: LabHost): Promise<boolean> => Object.keys(JSON.parse(await docker(host, 'info', '--format', '{{json .Runtimes}}')) as object).includes('coat');

beforeAll(async () => {
  await Lab.open(NAME).then((stale) => stale.down(), () => undefined);
  await makeRelease(() => undefined);
  lab = await Lab.up({ name: NAME, hosts: 2, engines: [26, 28], plugin: false });
  hosts = lab.hosts;
  await cp(join(import.meta.dirname, '../../lab/workload'), join(lab.shared, 'workload'), { recursive: true });
  for (const host of hosts) {
    await host.exec(['sh', '-c', 'rm "$(command -v node)" "$(command -v criu)" "$(command -v ip)"']);
    // the engine forgets the runtime when it reads that there is none
    await writeFile(settings(host), JSON.stringify({ ...BEFORE, runtimes: {} }));
    await host.exec(['sh', '-c', 'kill -HUP $(cat /run/docker.pid)']);
    await until('the engine to forget the runtime', async () => !(await knowsRuntime(host)), { timeout: PATIENCE_MS });
    await writeFile(settings(host), SETTINGS);
  }
});
afterAll(() => lab?.down());

test('the release is whole, and its command needs no Node', async () => {
  await run(['sha256sum', '--check', '--quiet', 'SHA256SUMS'], { cwd: RELEASE });
  for (const host of hosts) {
    const place = join(host.root, 'usr/local/lib/docker/cli-plugins');
    await mkdir(place, { recursive: true });
    await cp(EXECUTABLE, join(place, 'docker-coat'));
    await chmod(join(place, 'docker-coat'), 0o755);
    expect((await host.exec(['sh', '-c', 'command -v node criu ip'], { okCodes: [0, 127] })).stdout).toBe('');
    expect(await docker(host, 'coat', '--help')).toMatch(/^Usage: docker coat COMMAND\n/);
    expect(await docker(host, 'help')).toMatch(/coat\* +Move running containers/);
  }
});

test('the plugin from its archive: create, set, enable', async () => {
  const bundle = join(lab.shared, 'bundle');
  await mkdir(bundle);
  await run(['tar', '-x', '-C', bundle, '-f', PLUGIN_ARCHIVE]);
  await leaveOutWhatIsLacking(join(bundle, 'config.json'));
  const members = hosts.map(({ name, address }) => `${name}=${address}`).join(',');
  for (const host of hosts) {
    await docker(host, 'plugin', 'create', PLUGIN, '/share/bundle');
    await docker(host, 'plugin', 'set', PLUGIN, `COAT_HOST=${host.name}`, `COAT_HOSTS=${members}`, 'COAT_SECRET=at-least-16-characters');
    await docker(host, 'plugin', 'enable', PLUGIN);
  }
  for (const host of hosts) {
    const status = await until(`the agent of ${host.name}`, async () => {
      const status = await coat<Status>(host, 'status');
      return status.store.state === 'ok' && status;
    }, { timeout: PATIENCE_MS });
    expect(status).toMatchObject({ runtime: 'missing', criu: { version: expect.stringMatching(/^4\./) as string, carried: true } });
  }
});

describe('docker coat setup', () => {
  test('shows what it would change, and changes nothing', async () => {
    expect(await docker(hosts[0]!, 'coat', 'setup', '--dry-run')).toMatch(/^\+\s+"path": "\/var\/lib\/coat\/bin\/coat-runc"$/m);
    expect(await readFile(settings(hosts[0]!), 'utf8')).toBe(SETTINGS);
    expect(await knowsRuntime(hosts[0]!)).toBe(false);
  });

  test('changes it, and takes it back to the byte', async () => {
    for (const host of hosts) {
      await docker(host, 'coat', 'setup');
      expect(JSON.parse(await readFile(settings(host), 'utf8'))).toEqual({ ...BEFORE, runtimes: { coat: { path: '/var/lib/coat/bin/coat-runc' } } });
      expect(await knowsRuntime(host)).toBe(true);
      await docker(host, 'coat', 'setup', '--undo');
      expect(await readFile(settings(host), 'utf8')).toBe(SETTINGS);
      expect(await knowsRuntime(host)).toBe(false);
      await docker(host, 'coat', 'setup');
    }
  });

  test('leaves the file alone where the engine would not take it', async () => {
    const [host] = hosts;
    const good = await readFile(settings(host!), 'utf8');
    await writeFile(settings(host!), '{"runtimes":');
    const { code, stderr } = await host!.exec(['docker', 'coat', 'setup'], { okCodes: [1] });
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/not JSON/) as string });
    expect(await readFile(settings(host!), 'utf8')).toBe('{"runtimes":');
    await writeFile(settings(host!), good);
  });
});

test('a connection goes on while its server moves there and back, by the carried CRIU alone', async () => {
  const [h1, h2] = hosts as [LabHost, LabHost];
  await docker(h1, 'network', 'create', '-d', 'coat', '--ipam-driver', 'coat', '--subnet', '10.44.0.0/24', 'shop');
  await until('the network on h2', async () => (await h2.exec(['docker', 'network', 'inspect', 'shop'], { okCodes: [0, 1] })).code === 0, { timeout: PATIENCE_MS });
  const start = ['run', '--detach', '--network', 'shop', '--volume', '/share:/share'];
  await docker(h1, ...start, '--name', 'echo', '--ip', '10.44.0.10', 'coat-lab/workloads', 'python3', '/share/workload/echo.py');
  await until('the server', async () => (await docker(h1, 'logs', 'echo')).includes('ready'), { timeout: PATIENCE_MS });
  await docker(h2, ...start, '--name', 'pulse', 'coat-lab/workloads', 'python3', '/share/workload/pulse.py', '10.44.0.10');
  await until('the connection', async () => (await docker(h2, 'logs', 'pulse')).includes('connected'), { timeout: PATIENCE_MS });
  for (const [from, to] of [[h1, h2], [h2, h1], [h1, h2]] as const) {
    expect(await coat(from, 'migrate', 'echo', to.name)).toMatchObject({ outcome: 'migrated', warnings: [] });
  }
  await docker(h2, 'kill', '--signal', 'TERM', 'pulse');
  expect(await docker(h2, 'wait', 'pulse')).toBe('0');
  expect(JSON.parse((await docker(h2, 'logs', 'pulse')).split('\n').at(-1)!)).toMatchObject({ alive: 1, errors: [] });
});

test('what was put on a host is listed, and all of it goes', async () => {
  const host = hosts[1]!;
  const listed = await coat<HostFile[]>(host, 'status', '--files');
  for (const { path } of listed) await host.exec(['test', '-e', path]);
  const paths = listed.map(({ path }) => path);
  expect(paths).toEqual(expect.arrayContaining(['/var/lib/coat/bin/coat-runc', '/var/lib/coat/criu', '/run/coat', '/run/docker/plugins/coat.sock', '/etc/docker/daemon.json', '/usr/local/lib/docker/cli-plugins/docker-coat']));

  // the server that moved here needs coat-runc
  await expect(removeFromHost(outside(host))).rejects.toMatchObject({ code: 'runtime-in-use', message: expect.stringContaining('echo') as string });
  expect(await readFile(settings(host), 'utf8')).not.toBe(SETTINGS);

  await docker(host, 'rm', '--force', 'echo', 'pulse');
  await docker(host, 'network', 'rm', 'shop');
  await docker(host, 'plugin', 'disable', '--force', PLUGIN);
  await docker(host, 'plugin', 'rm', PLUGIN);
  await removeFromHost(outside(host));
  expect(await readFile(settings(host), 'utf8')).toBe(SETTINGS);
  expect(await knowsRuntime(host)).toBe(false);
  await rm(join(host.root, 'usr/local/lib/docker/cli-plugins/docker-coat'));
  const { stdout } = await host.exec(['find', '/', '-xdev', '-iname', '*coat*', '-not', '-path', '/proc/*', '-not', '-path', '/sys/*']);
  expect(stdout).toBe('');
});

/** The hands of a host's agent, from outside of it: what `removeFromHost` gets when the agent's own servers have ended. */
function outside(host: LabHost): SetupDependencies {
  const { root } = host;
  return {
    host: { path: (path) => root + path, run: (argv, options) => host.exec(argv, options), spawn: (argv, options) => host.spawn(argv, options) },
    docker: connectEngine(join(root, 'run/docker.sock')),
    paths: pathsUnder(root),
    log: silent,
  };
}

/** A capability that this machine itself does not have cannot be given to a plugin, see lab/coat.ts. */
async function leaveOutWhatIsLacking(file: string): Promise<void> {
  const config = JSON.parse(await readFile(file, 'utf8')) as { linux: { capabilities: string[] } };
  const { stdout } = await run(['setpriv', '--dump']);
  const held = /^Capability bounding set: (.*)$/m.exec(stdout)?.[1]?.split(',') ?? [];
  config.linux.capabilities = config.linux.capabilities.filter((name) => held.includes(name.replace('CAP_', '').toLowerCase()));
  await writeFile(file, JSON.stringify(config));
}
