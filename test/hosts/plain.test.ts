import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { docker, expectNotMoved, h1, h2, h3, migrate, PATIENCE_MS, where } from '../support/hosts.ts';
import { type Container, scene } from '../support/scene.ts';

/** Says a number ten times a second; ends in order when asked to. */
const COUNT = 'trap "echo bye; exit 0" TERM; number=0; while :; do echo "$number $(pwd) $(hostname) $COLOUR"; number=$((number + 1)); sleep 0.1; done';

const OPTIONS = [
  ...['--hostname', 'counting-house'],
  ...['--env', 'COLOUR=dark green', '--env', 'EMPTY='],
  ...['--label', 'org.example.kind=counter', '--label', 'note=a "quoted" one'],
  ...['--workdir', '/usr/share'],
  ...['--restart', 'on-failure:3'],
  ...['--health-cmd', 'test -d /usr/share', '--health-interval', '1s'],
  ...['--stop-timeout', '7', '--stop-signal', 'TERM'],
  ...['--memory', '256m', '--cpu-shares', '512', '--pids-limit', '50', '--ulimit', 'nofile=2000:3000'],
  ...['--cap-add', 'NET_ADMIN', '--cap-drop', 'MKNOD'],
  ...['--add-host', 'elsewhere:192.0.2.7', '--dns', '192.0.2.53', '--network-alias', 'counter'],
  ...['--tmpfs', '/scratch:size=1m', '--shm-size', '32m'],
  ...['--sysctl', 'net.ipv4.ip_local_port_range=20000 30000', '--log-opt', 'max-size=5m'],
];

/** What of `docker inspect` is another engine's, another moment's, or the mark of a move. */
const DIFFERS = [
  /^Id$/,
  /^Created$/,
  /^State\.(Pid|StartedAt|Health\.Log.*)$/,
  /^(ResolvConfPath|HostnamePath|HostsPath|LogPath)$/,
  /^GraphDriver\.Data\..*$/,
  /^HostConfig\.Runtime$/,
  /^NetworkSettings\.(SandboxID|SandboxKey)$/,
  /^NetworkSettings\.Networks\.shop\.(NetworkID|EndpointID)$/,
  // the address that Docker had chosen is pinned now
  /^NetworkSettings\.Networks\.shop\.IPAMConfig.*$/,
  // and so is its MAC
  /^Config\.MacAddress$/,
  // each engine lists its own short id
  /^NetworkSettings\.Networks\.shop\.DNSNames\.\d+$/,
];

type Flat = Record<string, unknown>;

/** A document as its leaves by their path. */
function flat(value: unknown, path = ''): Flat {
  if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) return { [path]: JSON.stringify(value) };
  const parts = Object.entries(value).map(([key, each]) => flat(each, path === '' ? key : `${path}.${key}`));
  return Object.assign({}, ...parts) as Flat;
}

async function inspect(container: Container): Promise<Flat> {
  const [found] = JSON.parse(await container.docker('inspect')) as unknown[];
  return flat(found);
}

/** Paths of what differs and may not. */
function strange(before: Flat, after: Flat): string[] {
  const paths = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const differs = paths.filter((path) => before[path] !== after[path] && !DIFFERS.some((pattern) => pattern.test(path)));
  return differs.map((path) => `${path}: ${String(before[path])} → ${String(after[path])}`);
}

const healthy = (container: Container): Promise<unknown> =>
  until(`${container.name} to be healthy`, async () => (await container.docker('inspect', '--format', '{{.State.Health.Status}}')) === 'healthy', { timeout: PATIENCE_MS });

test('a container without connections is the same container elsewhere', scene(async (scene) => {
  const counter = await scene.run(h1, 'plain', ['bash', '-c', COUNT], OPTIONS);
  await counter.says(/^3 /);
  await healthy(counter);
  const before = await inspect(counter);
  const first = await counter.exec('cat', '/proc/1/comm', '/proc/1/cmdline');

  await counter.exec('sh', '-c', 'echo kept > /scratch/note');
  // the same engine, so that nothing differs only because that is another
  await counter.moveTo(h3);
  await healthy(counter);
  expect(strange(before, await inspect(counter))).toEqual([]);
  expect((await inspect(counter))['HostConfig.Runtime']).toBe('"coat"');
  expect(await counter.exec('cat', '/proc/1/comm', '/proc/1/cmdline')).toBe(first);
  expect(await counter.exec('cat', '/scratch/note', '/proc/sys/net/ipv4/ip_local_port_range')).toBe('kept\n20000\t30000');
  expect(await counter.exec('hostname')).toBe('counting-house');
  expect(await counter.exec('cat', '/etc/hosts')).toMatch(/192\.0\.2\.7\s+elsewhere/);

  await counter.moveTo(h2);
  await healthy(counter);
  await counter.docker('stop');
  expect(await counter.docker('inspect', '--format', '{{.State.ExitCode}}')).toBe('0');
  expect((await counter.logs()).split('\n').at(-1)).toBe('bye');
}));

test('what a container says before, during and after its move is all in a log', scene(async (scene) => {
  const counter = await scene.run(h1, 'plain', ['bash', '-c', COUNT], ['--env', 'COLOUR=red', '--workdir', '/srv', '--hostname', 'it']);
  await counter.says(/^3 /);
  const moved = await migrate(h1, counter.name, 'h2', '--keep');
  expect(moved).toMatchObject({ code: 0, report: { outcome: 'migrated' } });
  const kept = `${counter.name}.moved-${moved.report.id.slice(0, 8)}`;
  scene.finally(() => docker(h1, 'rm', '--force', kept));
  expect(await docker(h1, 'inspect', '--format', '{{.State.Running}}', kept)).toBe('false');
  counter.host = h2;
  await until('more of its log', async () => (await lines(h2, counter.name)).length > 5, { timeout: PATIENCE_MS });

  const all = [...(await lines(h1, kept)), ...(await lines(h2, counter.name))];
  expect(all).toEqual(all.map((_, number) => `${number} /srv it red`));
}));

test("a container whose image hides the mount of Docker's init behind a link is refused", scene(async (scene) => {
  const counter = await scene.run(h1, 'plain', ['bash', '-c', COUNT], ['--init']);
  await counter.says(/^1 /);
  expectNotMoved(await migrate(h1, counter.name, 'h2'), { outcome: 'refused', code: 'mount-behind-link' });
  expect(await where(counter.name)).toEqual({ h1: 'running' });
}));

async function lines(host: LabHost, name: string): Promise<string[]> {
  return (await docker(host, 'logs', name)).split('\n').filter(Boolean);
}

test('a container that moved is restarted as before when it fails', scene(async (scene) => {
  const counter = await scene.run(h1, 'plain', ['bash', '-c', COUNT], ['--restart', 'on-failure:3']);
  await counter.says(/^1 /);
  await counter.moveTo(h2);
  // docker kill would count as the user's wish
  const pid = await counter.docker('inspect', '--format', '{{.State.Pid}}');
  await h2.exec(['kill', '-KILL', pid]);
  await until('its restart', async () => (await counter.docker('inspect', '--format', '{{.State.Running}} {{.RestartCount}}')) === 'true 1', { timeout: PATIENCE_MS });
}));
