import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { h1, h2, h3, PATIENCE_MS } from '../support/hosts.ts';
import { type Container, scene } from '../support/scene.ts';
import { Talk } from '../support/talk.ts';
import { volume } from '../support/volumes.ts';

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

/** Says a number and something long, some thousand times at once and then fifty times a second. */
const TALK = 'import itertools, time\nfor number in itertools.count():\n print(number, "x" * 50, flush=True)\n number < 1200 or time.sleep(0.02)';
const ROTATED = ['--log-opt', 'max-size=40k', '--log-opt', 'max-file=20'];
const LOGS = [
  ['json-file'],
  ['json-file', ...ROTATED, '--log-opt', 'compress=true'],
  ['local', ...ROTATED],
  ['local', '--log-opt', 'mode=non-blocking', '--log-opt', 'max-file=1', '--log-opt', 'compress=false'],
];

test('what a container says before, during and after its moves is in its log, in order and once', scene(async (scene) => {
  const number = (line: string): number => Number(line.split(' ')[0]);
  await Promise.all(LOGS.map(async ([driver, ...options]) => {
    const talker = await scene.run(h1, 'talker', ['python3', '-c', TALK], ['--log-driver', driver!, ...options]);
    await talker.says(/^1250 /);
    let before: string[] = [];
    for (const host of [h2, h1]) {
      const said = (await log(talker)).length;
      await talker.moveTo(host);
      expect(await log(talker, '--tail', '5')).toHaveLength(5);
      await until('more of its log', async () => (await log(talker)).length > said + 50, { timeout: PATIENCE_MS });
      const stamped = await log(talker, '--timestamps');
      expect(stamped.map((line) => number(line.split(' ').slice(1).join(' ')))).toEqual(stamped.map((_, i) => i));
      // as it was said, and when
      expect(stamped.slice(0, before.length)).toEqual(before);
      const since = async (line: number, option: string): Promise<string[]> => log(talker, '--timestamps', option, stamped[line]!.split(' ')[0]!);
      expect(await since(1000, '--until')).toEqual(stamped.slice(0, 1001));
      expect((await since(said, '--since')).slice(0, 50)).toEqual(stamped.slice(said, said + 50));
      const follower = new Talk(host, ['docker', 'logs', '--follow', '--tail', '0', talker.name]);
      scene.finally(() => follower.signal('SIGKILL'));
      expect(number(await follower.hears(/^\d+ x+$/m))).toBeGreaterThanOrEqual(stamped.length);
      before = stamped;
    }
    // and what its engine finds when it opens the log anew
    await talker.docker('restart', '--time', '1');
    expect((await log(talker, '--timestamps')).slice(0, before.length)).toEqual(before);
  }));
}));

/** Lines of a log. */
async function log(container: Container, ...options: string[]): Promise<string[]> {
  return (await container.docker('logs', ...options)).split('\n').filter(Boolean);
}

test("Docker's init comes along, of which each engine has its own; mounts behind links of the image and of the host", scene(async (scene) => {
  const [data, link] = [await volume(scene, h1, 'data'), scene.name('link')];
  for (const host of [h1, h2]) {
    await host.exec(['ln', '-s', 'hostname', `/etc/${link}`]);
    scene.finally(() => host.exec(['rm', `/etc/${link}`]));
  }
  const server = await scene.echo(h1, { docker: ['--init', '--volume', `${data}:/var/run/below/data`, '--volume', `/etc/${link}:/bin/linked:ro`] });
  const peer = await scene.peer(server);
  await server.exec('sh', '-c', 'echo kept > /var/run/below/data/file');
  for (const host of [h2, h1, h2]) {
    await server.moveTo(host);
    await peer.goesOn();
    expect(await server.exec('cat', '/run/below/data/file')).toBe('kept');
    expect(await server.exec('cat', '/usr/bin/linked')).toBe((await host.exec(['cat', '/etc/hostname'])).stdout.trim());
    // only the init waits for what nobody else does
    const orphan = await server.exec('sh', '-c', 'true & echo $!');
    await until('an orphan to be gone', async () => (await server.exec('sh', '-c', `[ -e /proc/${orphan} ] || echo gone`)) === 'gone', { timeout: PATIENCE_MS });
  }
  await peer.unharmed();
  // it passes the signal on, and what came of it
  await server.docker('stop');
  expect(await server.docker('inspect', '--format', '{{.State.ExitCode}}')).toBe('143');
  await server.docker('start');
  expect(await server.exec('cat', '/proc/1/comm')).toBe('docker-init');
}));

test('a container that moved is restarted as before when it fails', scene(async (scene) => {
  const counter = await scene.run(h1, 'plain', ['bash', '-c', COUNT], ['--restart', 'on-failure:3']);
  await counter.says(/^1 /);
  await counter.moveTo(h2);
  // docker kill would count as the user's wish
  const pid = await counter.docker('inspect', '--format', '{{.State.Pid}}');
  await h2.exec(['kill', '-KILL', pid]);
  await until('its restart', async () => (await counter.docker('inspect', '--format', '{{.State.Running}} {{.RestartCount}}')) === 'true 1', { timeout: PATIENCE_MS });
}));
