import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { docker, h1, h2, h3, IMAGE, PATIENCE_MS } from '../support/hosts.ts';
import { create } from '../support/networks.ts';
import { type Container, scene, type Scene, WORKLOAD } from '../support/scene.ts';
import { Talk } from '../support/talk.ts';
import { anonymous, volume } from '../support/volumes.ts';

/** What a program answers on a connection from h3 that was made before the first move. */
function asks(scene: Scene, server: Container): (word: string) => Promise<Record<string, unknown>> {
  const talk = new Talk(h3, ['docker', 'run', '--interactive', '--name', scene.name('asks'), '--network', scene.network, ...WORKLOAD, IMAGE, 'python3', '/w/talk.py', server.ip, '7000']);
  return async (word) => {
    talk.say(word);
    return JSON.parse(await talk.hears(/^\{.*\}$/m)) as Record<string, unknown>;
  };
}

/** What its engine was told of a container, but for what a move changes. */
async function configuration(container: Container): Promise<unknown> {
  const { Config, HostConfig } = (JSON.parse(await docker(container.host, 'inspect', container.name)) as { Config: object; HostConfig: object }[])[0]!;
  // older engines have a second place for it
  return { Config: { ...Config, MacAddress: undefined }, HostConfig: { ...HostConfig, Runtime: undefined, Binds: undefined, Mounts: undefined, VolumesFrom: undefined, NetworkMode: undefined } };
}

const manifest = async (container: Container): Promise<string[]> => (await container.exec('python3', '/fixtures/manifest.py', '/data')).split('\n').filter((line) => !line.includes('/data/mapped'));
const KEEPER = [...WORKLOAD, '--volume', '/share/fixtures:/fixtures:ro', '--env', 'PYTHONWARNINGS=ignore'];

const LIMITS = ['--memory', '300m', '--cpus', '1.5', '--pids-limit', '200', '--ulimit', 'nofile=2000:3000', '--ulimit', 'core=0', '--oom-score-adj', '123'];
// where root may not lower it, a score of its own is above that of those who restore it
const WAYS = ['--cap-add', 'SYS_NICE', '--cap-drop', 'NET_RAW', '--hostname', 'kept', '--add-host', 'there:10.1.2.3', '--label', 'a=b', '--log-driver', 'json-file', '--log-opt', 'max-size=1m'];
const CARE = ['--restart', 'always', '--health-cmd', 'test -e /data/owned-by-health || true', '--health-interval', '1s'];

test('a program has all that it holds on to after moves to and fro, in its volumes as well, and on all of its networks', scene(async (scene) => {
  const [one, other] = [await create(scene, h1, []), await create(scene, h1, ['--ipv6', '--subnet', '10.74.0.0/24', '--subnet', 'fd00:74::/64'])];
  const data = await volume(scene, h1, 'data', ['--label', 'of=data']);
  const memory = await volume(scene, h1, 'memory', ['--opt', 'type=tmpfs', '--opt', 'device=tmpfs']);
  scene.network = one;
  const mounts = ['--volume', `${data}:/data`, '--volume', `${memory}:/memory`, '--volume', '/without-a-name', '--tmpfs', '/scratch'];
  const server = await scene.run(h1, 'keeper', ['sh', '-c', 'exec python3 /w/keeper.py'], [...KEEPER, ...mounts, ...LIMITS, ...WAYS, ...CARE]);
  await server.says('ready');
  await docker(h1, 'network', 'connect', other, server.name);
  for (const place of ['/memory', '/without-a-name', '/scratch', '/dev/shm']) await server.exec('sh', '-c', `echo ${place} > ${place}/said`);
  const nameless = await anonymous(scene, server, '/without-a-name');
  const ask = asks(scene, server);
  expect(await ask('check')).toEqual({});
  const [about, files, configured] = [await ask('about'), await manifest(server), await configuration(server)];

  // of its second network a client as well, by both families
  const at = async (field: string): Promise<string> => server.docker('inspect', '--format', `{{(index .NetworkSettings.Networks "${other}").${field}}}`);
  const addresses = [await at('IPAddress'), await at('GlobalIPv6Address')];
  for (const host of [h2, h1]) {
    await server.moveTo(host);
    expect(await ask('check')).toEqual({});
    expect(await ask('about')).toEqual(about);
    expect(await manifest(server)).toEqual(files);
    expect(await configuration(server)).toEqual(configured);
    for (const place of ['/memory', '/without-a-name', '/scratch', '/dev/shm']) expect(await server.exec('cat', `${place}/said`)).toBe(place);
    expect([await at('IPAddress'), await at('GlobalIPv6Address')]).toEqual(addresses);
    // nothing is in two places
    const there = host === h1 ? h2 : h1;
    for (const name of [data, memory, nameless]) {
      expect(await docker(there, 'volume', 'ls', '--quiet', '--filter', `name=${name}`)).toBe('');
      expect(await docker(host, 'volume', 'ls', '--quiet', '--filter', `name=${name}`)).toBe(name);
    }
    expect(await docker(host, 'volume', 'inspect', '--format', '{{.Labels.of}}', data)).toBe('data');
    await until('a health check', async () => (await server.docker('inspect', '--format', '{{.State.Health.Status}}')) === 'healthy', { timeout: PATIENCE_MS });
  }
}));

test('connections on two networks of a container go on, while it moves and while its peers do', scene(async (scene) => {
  const [one, other] = [await create(scene, h1, []), await create(scene, h1, [])];
  scene.network = one;
  const server = await scene.echo(h1);
  await docker(h1, 'network', 'connect', other, server.name);
  const peers = [await scene.peer(server)];
  scene.network = other;
  const ip = await server.docker('inspect', '--format', `{{(index .NetworkSettings.Networks "${other}").IPAddress}}`);
  peers.push(await scene.peer(Object.assign(Object.create(server) as Container, { ip })));
  await server.moveTo(h2);
  for (const peer of peers) await peer.goesOn();
  // both ends of both connections at once
  await Promise.all([server.moveTo(h1), ...peers.map((peer) => peer.moveTo(h2))]);
  for (const peer of peers) await peer.unharmed();
}));

test('a terminal and an open standard input go on', scene(async (scene) => {
  const shell = await scene.run(h1, 'shell', ['bash', '--norc'], ['--interactive', '--tty']);
  const cat = await scene.run(h1, 'cat', ['cat'], ['--interactive']);
  const type = async (container: Container, keys: string, argv: string[]): Promise<void> => {
    const attached = new Talk(container.host, argv);
    scene.finally(() => attached.signal('SIGKILL'));
    const written = async (): Promise<number> => (await container.logs()).split('x1x').length;
    const before = await written();
    await until('it to be written', async () => {
      attached.type(keys);
      return (await written()) > before;
    }, { timeout: PATIENCE_MS, every: 200 });
  };
  await shell.exec('true');
  await type(shell, 'x=1; n=$x; echo x${n}x\r', ['script', '--quiet', '--command', `docker attach ${shell.name}`, '/dev/null']);
  for (const host of [h2, h1]) {
    await shell.moveTo(host);
    await cat.moveTo(host);
    // what it knew it knows
    await type(shell, 'echo x${n}x\r', ['script', '--quiet', '--command', `docker attach ${shell.name}`, '/dev/null']);
    await type(cat, 'x1x\n', ['docker', 'attach', cat.name]);
    expect(await shell.docker('inspect', '--format', '{{.State.Running}}')).toBe('true');
    expect(await cat.docker('inspect', '--format', '{{.State.Running}}')).toBe('true');
  }
}));

test('a read-only container with few rights; what docker exec has started in it ends, and that is said', scene(async (scene) => {
  const [data, srv] = [await volume(scene, h1, 'data'), await volume(scene, h1, 'srv')];
  const options = ['--read-only', '--volume', `${data}:/data`, '--volume', `${srv}:/srv`, '--cap-drop', 'ALL', '--cap-add', 'CHOWN', '--cap-add', 'FOWNER', '--security-opt', 'no-new-privileges', '--oom-score-adj', '100'];
  const server = await scene.run(h1, 'keeper', ['python3', '/w/keeper.py'], [...KEEPER, '--env', 'PYTHONDONTWRITEBYTECODE=1', ...options]);
  await server.says('ready');
  const ask = asks(scene, server);
  expect(await ask('check')).toEqual({});
  const about = await ask('about');
  await docker(h1, 'exec', '--detach', server.name, 'sleep', '4711');
  const { stdout } = await h1.exec(['docker', 'coat', 'migrate', '--json', server.name, 'h2'], { timeout: 2 * PATIENCE_MS });
  expect(JSON.parse(stdout)).toMatchObject({ outcome: 'migrated', warnings: [expect.stringContaining('sleep 4711')] });
  server.host = h2;
  expect(await ask('check')).toEqual({});
  expect(await ask('about')).toEqual(about);
  expect(await docker(h2, 'top', server.name)).not.toContain('4711');
}));

/** Listens, and accepts a connection only every 150 ms; echoes one line on each. */
const SLOW = `
import socket, threading, time
server = socket.create_server(("", 7000), backlog=64)
print("ready", flush=True)
def echo(connection):
    for line in connection.makefile("rb"):
        connection.sendall(line)
while True:
    time.sleep(0.15)
    threading.Thread(target=echo, args=(server.accept()[0],), daemon=True).start()
`;
/** Makes connections all the time, and keeps them. */
const MANY = `
import signal, socket, sys, time
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
kept = []
while not stop:
    kept.append(socket.create_connection((sys.argv[1], 7000), timeout=30))
    print("connected", len(kept), flush=True)
    time.sleep(0.5)
for number, connection in enumerate(kept):
    connection.sendall(b"%d\\n" % number)
    assert connection.recv(100) == b"%d\\n" % number
print("all", len(kept), flush=True)
`;

test('connections that wait to be accepted are waited for', scene(async (scene) => {
  const server = await scene.run(h1, 'slow', ['python3', '-c', SLOW]);
  await server.says('ready');
  const many = await scene.run(h3, 'many', ['python3', '-c', MANY, server.ip]);
  await many.says('connected 3');
  await server.moveTo(h2);
  await server.moveTo(h1);
  await many.docker('kill', '--signal', 'TERM');
  expect(await many.says(/^all \d+$|Error/)).toMatch(/^all \d+$/);
  expect(await many.docker('wait')).toBe('0');
}));

/**
 * Two ends of two connections, each written as fast as the other end reads it, which is slowly: one in both directions, and one of which one half is
 * closed from the start. Told to stop, each says which block was its last, sent or read.
 */
const FULL = `
import itertools, os, signal, socket, sys, threading, time
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
def failed(what):
    sys.excepthook(what.exc_type, what.exc_value, what.exc_traceback)
    os._exit(1)
threading.excepthook = failed
block = lambda number: b"%08d" % number * 512
def write(connection, name):
    for number in itertools.count():
        connection.sendall(block(number))
        if stop.is_set():
            connection.shutdown(socket.SHUT_WR)
            return print("wrote", name, number, flush=True)
def read(connection, name):
    file = connection.makefile("rb")
    for number in itertools.count():
        data = file.read(4096)
        if not data:
            stop.set()
            return print("read", name, number - 1, flush=True)
        assert data == block(number), f"{data[:8]!r} instead of {number}"
        time.sleep(0 if stop.is_set() else 0.002)
def thread(work, *arguments):
    threading.Thread(target=work, args=arguments).start()
if len(sys.argv) == 1:
    server = socket.create_server(("", 7000))
    print("ready", flush=True)
    full, half = server.accept()[0], server.accept()[0]
    assert half.recv(1) == b""
    thread(write, half, "half")
else:
    full, half = [socket.create_connection((sys.argv[1], 7000)) for _ in range(2)]
    half.shutdown(socket.SHUT_WR)
    thread(read, half, "half")
thread(write, full, "full")
thread(read, full, "full")
print("connected", flush=True)
while not stop.wait(0.1):
    pass
`;

test('connections full in both directions, and half closed ones, go on whichever end moves, and when both do at once', scene(async (scene) => {
  const server = await scene.run(h1, 'full', ['python3', '-c', FULL]);
  await server.says('ready');
  const client = await scene.run(h3, 'full', ['python3', '-c', FULL, server.ip]);
  await client.says('connected');
  await server.moveTo(h2);
  await Promise.all([server.moveTo(h1), client.moveTo(h2)]);
  await Promise.all([server.moveTo(h2), client.moveTo(h1)]);
  await client.docker('kill', '--signal', 'TERM');
  const last = async (container: Container, what: string): Promise<number> => Number((await container.says(new RegExp(`^${what} \\d+$|Error`))).split(' ').at(-1));
  for (const name of ['full', 'half']) {
    const sent = await last(server, `wrote ${name}`);
    expect(await last(client, `read ${name}`)).toBe(sent);
    expect(sent).toBeGreaterThan(100);
  }
  expect(await last(server, 'read full')).toBe(await last(client, 'wrote full'));
  for (const each of [client, server]) expect(await each.docker('wait')).toBe('0');
}));

test('.coatignore and the label say what stays behind; what is open goes all the same', scene(async (scene) => {
  const data = await volume(scene, h1, 'data');
  const fill = 'mkdir -p /srv/cache /data/cache && printf "srv/cache/*\\n!srv/cache/kept\\ndata/cache\\n" > /.coatignore';
  const files = 'for f in /srv/cache/gone /srv/cache/kept /srv/cache/open /srv/by-label /srv/other /data/cache/gone /data/cache/open /data/other; do echo $f > $f; done';
  const server = await scene.run(h1, 'ignoring', ['sh', '-c', `${fill}; ${files}; exec 8>>/srv/cache/open 9>>/data/cache/open python3 /w/echo.py`], [...WORKLOAD, '--volume', `${data}:/data`, '--label', 'io.coat.ignore=**/by-label']);
  await server.says('ready');
  const peer = await scene.peer(server);
  await server.moveTo(h2);
  const left = (await server.exec('find', '/srv', '/data', '-type', 'f')).split('\n').sort();
  expect(left).toEqual(['/data/cache/open', '/data/other', '/srv/cache/kept', '/srv/cache/open', '/srv/other']);
  expect(await server.exec('cat', '/srv/cache/open')).toBe('/srv/cache/open');
  await peer.unharmed();
}));

test('volumes that were copied stay with --keep, and have another life there', scene(async (scene) => {
  const data = await volume(scene, h1, 'data');
  const server = await scene.echo(h1, { docker: ['--volume', `${data}:/data`] });
  await server.exec('sh', '-c', 'echo before > /data/file');
  const { stdout } = await h1.exec(['docker', 'coat', 'migrate', '--json', '--keep', server.name, 'h2'], { timeout: 2 * PATIENCE_MS });
  const { id, outcome } = JSON.parse(stdout) as { id: string; outcome: string };
  expect(outcome).toBe('migrated');
  server.host = h2;
  const kept = `${server.name}.moved-${id.slice(0, 8)}`;
  scene.finally(() => h1.exec(['docker', 'rm', '--force', kept], { okCodes: [0, 1] }));
  await server.exec('sh', '-c', 'echo after > /data/file');
  expect(await docker(h1, 'run', '--rm', '--network', 'none', '--volumes-from', kept, IMAGE, 'cat', '/data/file')).toBe('before');
  const back = await h2.exec(['docker', 'coat', 'migrate', '--json', server.name, 'h1'], { okCodes: [1], timeout: PATIENCE_MS });
  expect(JSON.parse(back.stdout)).toMatchObject({ outcome: 'refused', problem: { code: 'volume-taken' } });
  await docker(h1, 'rm', kept);
  await docker(h1, 'volume', 'rm', data);
  await server.moveTo(h1);
  expect(await server.exec('cat', '/data/file')).toBe('after');
}));
