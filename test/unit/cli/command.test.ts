import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { coat, FakeAgent, json, listing, networks, scratch, status, version } from './support.ts';
import manifest from '../../../package.json' with { type: 'json' };

describe('what docker asks', () => {
  test('the metadata', async () => {
    const { code, stdout, stderr } = await coat(['docker-cli-plugin-metadata']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({ SchemaVersion: '0.1.0', Vendor: 'COAT', Version: manifest.version, ShortDescription: expect.any(String) as string });
  });

  test.each([['coat'], ['coat --help'], ['coat -h'], ['help coat'], ['coat help'], ['--help coat'], ['-D coat --help']])('docker %s shows all verbs', async (line) => {
    const { code, stdout, stderr } = await coat(line.split(' '));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Usage: docker coat COMMAND\n/);
    for (const verb of ['migrate', 'drain', 'cancel', 'history', 'inspect', 'api', 'ls', 'network', 'status', 'doctor', 'setup', 'init', 'token', 'join', 'leave', 'rm', 'version', 'help']) expect(stdout).toMatch(new RegExp(`^ +${verb} +\\w`, 'm'));
  });

  test.each([['coat migrate --help'], ['help coat migrate'], ['coat help migrate'], ['--help coat migrate']])('docker %s shows one', async (line) => {
    const { code, stdout } = await coat(line.split(' '));
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Usage: docker coat migrate \[OPTIONS\] CONTAINER… HOST\n/);
  });
});

describe('a wrong command line', () => {
  test.each([
    ['mv web beta', "docker coat: unknown command 'mv'.\nSee 'docker coat --help'.\n"],
    ['migrat', "docker coat: unknown command 'migrat'.\nDid you mean migrate? See 'docker coat --help'.\n"],
    ['--jsn', "docker coat: unknown option '--jsn'.\nSee 'docker coat --help'.\n"],
    ['ls --jsn', "docker coat ls: unknown option '--jsn'.\nDid you mean --json? See 'docker coat ls --help'.\n"],
    ['migrate web', "docker coat migrate: missing required argument 'host'.\nSee 'docker coat migrate --help'.\n"],
    ['migrate --all-on-network n1 web beta', "docker coat migrate: option '--all-on-network <network>' goes with a host alone.\nSee 'docker coat migrate --help'.\n"],
    ['migrate --max-blackout 2 a b', "docker coat migrate: option '--max-blackout <time>' argument '2' is invalid. it is a number and a unit, as in 500ms, 2s, 10m or 1h.\nSee 'docker coat migrate --help'.\n"],
    ['migrate --parallel 0 a b c', "docker coat migrate: option '--parallel <n>' argument '0' is invalid. a number of moves is from 1 to 16.\nSee 'docker coat migrate --help'.\n"],
    ['ls web', "docker coat ls: too many arguments for 'ls': expected 0 arguments but got 1.\nSee 'docker coat ls --help'.\n"],
    ['network mv', "docker coat network: unknown command 'mv'.\nSee 'docker coat network --help'.\n"],
    ['network inspect', "docker coat network inspect: missing required argument 'network'.\nSee 'docker coat network inspect --help'.\n"],
    ['ls --json --format json', "docker coat ls: option '--format <template>' cannot be used with option '--json'.\nSee 'docker coat ls --help'.\n"],
    ['ls --format {{.Host', "--format: a {{ without its }}.\ndocs/commands.md has what a format may contain; an example: '{{.Container}} {{.Host}}'.\n"],
    ['help mv', "docker coat: unknown command 'mv'.\nSee 'docker coat --help'.\n"],
  ])('%s', async (line, stderr) => {
    expect(await coat(['coat', ...line.split(' ')])).toEqual({ code: 125, signal: null, stdout: '', stderr });
  });
});

describe('an agent that cannot be reached', () => {
  test('no socket', async () => {
    const { code, stdout, stderr } = await coat(['coat', 'ls'], { env: { COAT_SOCKET: '/nonexistent/agent.sock' } });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe("No coat agent runs on this machine: there is no /nonexistent/agent.sock.\nLook for it with 'docker plugin ls' and start it with 'docker plugin enable'; if it listens elsewhere, set COAT_SOCKET.\n");
  });

  test('nobody listens', async () => {
    const socket = join(scratch(), 'agent.sock');
    writeFileSync(socket, '');
    const { code, stderr } = await coat(['coat', 'ls'], { env: { COAT_SOCKET: socket } });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^The coat agent of this machine has stopped: nobody answers at .*\.\nLook for it .*\.\n$/);
  });

  test('not allowed', async () => {
    await using agent = await FakeAgent.listen({});
    chmodSync(agent.socket, 0);
    const nobody = process.getuid?.() === 0 ? { uid: 65_534 } : {};
    const { code, stderr } = await coat(['coat', 'ls'], { env: agent.env, ...nobody });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^You may not talk to the coat agent: .* is closed to you\.\nUse sudo, or an account that may use docker\.\n$/);
  });

  test('it hangs up', async () => {
    const socket = join(scratch(), 'agent.sock');
    const server = createServer((connection) => connection.destroy()).listen(socket);
    await once(server, 'listening');
    const { code, stderr } = await coat(['coat', 'ls'], { env: { COAT_SOCKET: socket } });
    server.close();
    expect(code).toBe(1);
    expect(stderr).toMatch(/^The coat agent closed the connection without an answer\.\n/);
  });

  test('with --json the reason is a document', async () => {
    const { code, stdout, stderr } = await coat(['coat', 'status', '--json'], { env: { COAT_SOCKET: '/nonexistent/agent.sock' } });
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ problem: { code: 'agent-missing' } });
  });
});

describe('another machine', () => {
  test.each([
    [['-H', 'tcp://192.0.2.9:1', 'coat', 'ls'], {}],
    [['coat', 'ls'], { DOCKER_HOST: 'ssh://u@h' }],
  ])('%j is refused', async (argv, env) => {
    const { code, stderr } = await coat(argv, { env });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^docker is pointed at \S+, but docker coat talks to the agent of this machine: run it on that host\.\n$/);
  });

  test('another engine of this machine is fine', async () => {
    await using agent = await FakeAgent.listen({ 'GET /v1/endpoints': json(listing) });
    expect(await coat(['-H', 'unix:///run/other.sock', 'coat', 'ls'], { env: agent.env })).toMatchObject({ code: 0, stderr: '' });
  });

  test('help needs no machine', async () => {
    expect(await coat(['-H', 'tcp://192.0.2.9:1', 'coat', 'ls', '--help'])).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('the agent answers', () => {
  const routes = { 'GET /v1/endpoints': json(listing), 'GET /v1/status': json(status), 'GET /v1/version': json(version) };

  test('ls and status as text', async () => {
    await using agent = await FakeAgent.listen(routes);
    const ls = await coat(['coat', 'ls'], agent);
    expect(ls).toMatchObject({ code: 0, stderr: '' });
    expect(ls.stdout).toContain('worker      n1        10.42.0.3');
    const shown = await coat(['coat', 'status'], agent);
    expect(shown).toMatchObject({ code: 0, stderr: '' });
    expect(shown.stdout).toContain('Runtime:  registered\n');
  });

  test('version', async () => {
    await using agent = await FakeAgent.listen(routes);
    expect(await coat(['coat', 'version'], agent)).toMatchObject({ code: 0, stdout: `Client:  ${manifest.version}\nAgent:   9.8.7 (API 1) on alpha\n` });
    expect(JSON.parse((await coat(['coat', 'version', '--json'], agent)).stdout)).toEqual({ client: { version: manifest.version }, agent: version });
  });

  test('version without an agent shows its own', async () => {
    const gone = { env: { COAT_SOCKET: '/nonexistent/agent.sock' } };
    expect(await coat(['coat', 'version'], gone)).toMatchObject({ code: 1, stdout: `Client:  ${manifest.version}\n`, stderr: expect.stringMatching(/^No coat agent/) as string });
    expect(JSON.parse((await coat(['coat', 'version', '--json'], gone)).stdout)).toMatchObject({ client: {}, problem: { code: 'agent-missing' } });
  });

  test('--json gives what the agent said', async () => {
    await using agent = await FakeAgent.listen(routes);
    expect(JSON.parse((await coat(['coat', 'ls', '--json'], agent)).stdout)).toEqual(listing);
    expect(JSON.parse((await coat(['coat', 'status', '--json'], agent)).stdout)).toEqual(status);
  });

  test.each([
    ['ls --format {{.Container}}={{.IP}}', 'web=10.42.0.2\nworker=10.42.0.3\n=10.42.0.4\ndb=10.42.0.5\n'],
    ['ls --format table {{.Container}}\\t{{.MovingTo}}', 'CONTAINER   MOVING TO\nweb\nworker      beta\n\ndb\n'],
    ['status --format {{.store.state}} {{range .Hosts}}{{.Name}},{{end}}', 'ok alpha,beta,\n'],
    ['version --format {{.Agent.Version}}', '9.8.7\n'],
    ['network ls', 'NETWORK   SUBNET         GATEWAY     VNI    MTU    INTERNAL   CONTAINERS\nn1        10.42.0.0/24   10.42.0.1   4242   1450   no         1\n-         10.43.0.0/24   -           4243   1400   yes        0\n'],
    ['network ls --format {{.Name}} {{.MTU}} {{len .Endpoints}}', 'n1 1450 1\n 1400 0\n'],
    ['network inspect n1 --format {{json .Options}} {{.Maker}}', '{"vni":"4242"} alpha\n'],
  ])('docker coat %s', async (line, stdout) => {
    await using agent = await FakeAgent.listen({ ...routes, 'GET /v1/networks': json(networks) });
    const [words, format] = line.split(' --format ');
    expect(await coat(['coat', ...words!.split(' '), ...(format === undefined ? [] : ['--format', format])], agent)).toMatchObject({ code: 0, stderr: '', stdout });
  });

  test('network inspect', async () => {
    await using agent = await FakeAgent.listen({ 'GET /v1/networks': json(networks) });
    expect((await coat(['coat', 'network', 'inspect', 'n1', '10.43.0.0/24'], agent)).stdout).toBe(`Name:      n1
Subnet:    10.42.0.0/24
Gateway:   10.42.0.1
VNI:       4242
MTU:       1450
Internal:  no
Options:   vni=4242
Reserved:  10.42.0.9
Made on:   alpha

CONTAINER   IP          MAC                 HOST                     NAMES
web         10.42.0.2   02:42:0a:2a:00:02   alpha (moving to beta)   web, www

Name:      -
Subnet:    10.43.0.0/24
Gateway:   none
VNI:       4243
MTU:       1400
Internal:  yes
Options:   -
Reserved:  -
Made on:   -
`);
    expect(JSON.parse((await coat(['coat', 'network', 'inspect', '--json', 'n1'], agent)).stdout)).toEqual([networks[0]]);
    expect(await coat(['coat', 'network', 'inspect', 'n1', 'n2'], agent)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^There is no coat network "n2"\.\nSee /) as string });
  });

  test('a field that is not there is named, with those that are', async () => {
    await using agent = await FakeAgent.listen(routes);
    expect(await coat(['coat', 'ls', '--format', '{{.Nmae}}'], agent)).toMatchObject({
      code: 1,
      stdout: '',
      stderr: '--format: there is no field .Nmae.\nThere are .Container, .Network, .Ip, .Host, .Mac, .MovingTo.\n',
    });
  });

  test('status --files', async () => {
    const files = [{ path: '/run/coat', what: 'sockets', goesWith: 'docker coat leave' }];
    await using agent = await FakeAgent.listen({ 'GET /v1/files': json(files) });
    expect((await coat(['coat', 'status', '--files'], agent)).stdout).toBe('PATH        WHAT      GOES WITH\n/run/coat   sockets   docker coat leave\n');
    expect(JSON.parse((await coat(['coat', 'status', '--files', '--json'], agent)).stdout)).toEqual(files);
  });

  test.each([
    [[], 'POST /v1/setup'],
    [['--undo'], 'POST /v1/setup?undo=yes'],
    [['--dry-run'], 'GET /v1/setup'],
    [['--undo', '--dry-run'], 'GET /v1/setup?undo=yes'],
  ])('setup %j', async (flags, route) => {
    const setup = { file: '/etc/docker/daemon.json', after: '{}\n' };
    await using agent = await FakeAgent.listen({ [route]: json(setup) });
    expect(await coat(['coat', 'setup', ...flags], agent)).toMatchObject({ code: 0, stdout: expect.stringContaining('daemon.json is new') as string });
    expect(JSON.parse((await coat(['coat', 'setup', '--json', ...flags], agent)).stdout)).toEqual(setup);
  });

  test('doctor says what is wrong and what to do, and fails for it', async () => {
    const well = { check: 'engine', state: 'ok', found: 'Docker 28' };
    const ill = { check: 'runtime', state: 'problem', found: 'it is missing', remedy: 'docker coat setup' };
    await using sound = await FakeAgent.listen({ 'GET /v1/doctor': json([well]) });
    expect(await coat(['coat', 'doctor'], sound)).toMatchObject({ code: 0, stdout: 'ok       engine  Docker 28\n' });
    await using agent = await FakeAgent.listen({ 'GET /v1/doctor': json([well, ill]) });
    expect(await coat(['coat', 'doctor'], agent)).toMatchObject({ code: 1, stdout: expect.stringContaining('PROBLEM  runtime  it is missing\n                  → docker coat setup\n') as string });
    expect(JSON.parse((await coat(['coat', 'doctor', '--json'], agent)).stdout)).toEqual([well, ill]);
  });

  test('with a problem', async () => {
    await using agent = await FakeAgent.listen({ 'GET /v1/endpoints': json({ code: 'store-away', message: 'The store is away.', hint: 'Wait.' }, 503) });
    expect(await coat(['coat', 'ls'], agent)).toMatchObject({ code: 1, stdout: '', stderr: 'The store is away.\nWait.\n' });
  });

  test('with nonsense', async () => {
    await using agent = await FakeAgent.listen({ 'GET /v1/endpoints': (_request, response) => response.end('<html>') });
    expect(await coat(['coat', 'ls'], agent)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^The coat agent's answer to \/v1\/endpoints cannot be read: /) as string });
    expect(await coat(['coat', 'status'], agent)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^The coat agent answered with HTTP status 404 and no reason\.\n/) as string });
  });
});
