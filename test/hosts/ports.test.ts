import { describe, expect, test } from 'vitest';
import { run } from '../../driver/host/run.ts';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { NETNS, netnsName } from '../../lab/places.ts';
import type { Listing, PublishedAt } from '../../plugin/agent/api.ts';
import { killAgent, restartEngine } from '../support/agent.ts';
import { address6 } from '../../lab/spec.ts';
import { docker, fresh, h1, h2, h3, IMAGE, lab, PATIENCE_MS } from '../support/hosts.ts';
import { create } from '../support/networks.ts';
import { Container, type Peer, scene, type Scene } from '../support/scene.ts';
import { Talk } from '../support/talk.ts';

/** Says a word to an address and prints what comes back, or nothing. */
const SAY = (proto: 'tcp' | 'udp', to: string, port: number): string[] =>
  ['sh', '-c', `timeout 5 socat -lf /dev/null -t 0.01 ${proto}:${to}:${port} SYSTEM:'echo word; head -n 1 >&2' 2>&1 || true`];

/** What a port of a host answers to the lab's switch, which is on no host. */
async function fromOutside(proto: 'tcp' | 'udp', to: LabHost, port: number, address = to.address): Promise<string> {
  const { stdout } = await run(['nsenter', `--net=${NETNS}/${netnsName(lab.name, 'switch')}`, '--', ...SAY(proto, address, port) as [string]]);
  return stdout.trim();
}
const fromHost = async (host: LabHost, proto: 'tcp' | 'udp', to: string, port: number): Promise<string> => (await host.exec(SAY(proto, to, port))).stdout.trim();

const listed = async ({ ip }: { ip: string }): Promise<PublishedAt[]> =>
  (JSON.parse(await docker(h1, 'coat', 'ls', '--json')) as Listing).endpoints.find((endpoint) => endpoint.ip === ip)?.ports ?? [];

const server = (scene: Scene, host: LabHost, ...options: string[]): Promise<Container> => scene.echo(host, { program: ['--udp'], docker: options });

/** A client outside the network: in a container of Docker's own network on h3, which knows nothing but an address of a host. */
async function outsider(scene: Scene, to: LabHost): Promise<Peer> {
  scene.network = 'bridge';
  return scene.peer(new Container(to, '', to.address)).finally(() => (scene.network = 'shop'));
}

/** A start that the engine refuses. @returns its sentence */
async function refused(scene: Scene, host: LabHost, ...options: string[]): Promise<string> {
  const { code, stderr } = await host.exec(['docker', 'run', '--detach', '--name', scene.name('refused'), '--network', 'shop', ...options, IMAGE, 'sleep', 'infinity'], { okCodes: [0, 125] });
  expect({ code, stderr }).toMatchObject({ code: 125 });
  return stderr;
}

describe('a published port', () => {
  test('connections from outside outlive moves of the server behind it, and back; new ones come in where it was started and where it is', scene(async (scene) => {
    const echo = await server(scene, h1, '-p', '7000:7000', '-p', '7000:7000/udp');
    const near = await scene.run(h1, 'near', ['sleep', 'infinity']);
    const peer = await outsider(scene, h1);
    const talk = new Talk(h2, ['socat', '-', `tcp:${h1.address}:7000`]);
    const goesOn = async (visited: LabHost[]): Promise<void> => {
      await peer.goesOn();
      const word = fresh('word');
      talk.say(word);
      await talk.hears(new RegExp(word));
      for (const proto of ['tcp', 'udp'] as const) {
        expect(await Promise.all(visited.map((host) => fromOutside(proto, host, 7000)))).toEqual(visited.map(() => 'word'));
        expect(await Promise.all(['127.0.0.1', h1.address].map((to) => fromHost(h1, proto, to, 7000)))).toEqual(['word', 'word']);
        expect((await docker(h1, 'exec', near.name, ...SAY(proto, h1.address, 7000))).trim()).toBe('word');
      }
    };
    await goesOn([h1]);
    // it sees its clients' addresses
    expect(await echo.exec('ss', '-Htn', 'state', 'established')).toContain(`${h3.address}:`);
    const visited = [h1];
    for (const host of [h2, h3, h1]) {
      await echo.moveTo(host);
      await peer.goesOn();
      if (!visited.includes(host)) visited.push(host);
      await until('the records to have it', async () => new Set((await listed(echo)).map((port) => port.host)).size === visited.length, { timeout: PATIENCE_MS });
      await goesOn(visited);
    }
    await peer.unharmed();
    expect((await talk.end()).code).toBe(0);
  }), 120_000);

  test('the same by IPv6, where the network has it', scene(async (scene) => {
    const by6 = (host: LabHost): string => `[${address6(host.address)}]`;
    await create(scene, h1, ['--ipv6', '--subnet', '10.72.0.0/24', '--subnet', 'fd00:72::/64']);
    const echo = await scene.echo(h1, { program: ['--udp', '--host', '::'], docker: ['-p', '7000:7000', '-p', '[::]:7001:7000', '-p', '7000:7000/udp', '-p', `${by6(h1)}:7002:7000`] });
    const talk = new Talk(h3, ['socat', '-', `tcp:${by6(h1)}:7000`]);
    const visited: LabHost[] = [];
    for (const host of [h1, h2, h3, h1]) {
      if (visited.length > 0) await echo.moveTo(host);
      if (!visited.includes(host)) visited.push(host);
      const word = fresh('word');
      talk.say(word);
      await talk.hears(new RegExp(word));
      await until('the records to have it', async () => new Set((await listed(echo)).map((port) => port.host)).size === visited.length, { timeout: PATIENCE_MS });
      for (const proto of ['tcp', 'udp'] as const) {
        expect(await Promise.all(visited.map((each) => fromOutside(proto, each, 7000, by6(each))))).toEqual(visited.map(() => 'word'));
        expect(await Promise.all(visited.map((each) => fromOutside(proto, each, 7000)))).toEqual(visited.map(() => 'word'));
      }
      expect([await fromOutside('tcp', h1, 7001, by6(h1)), await fromOutside('tcp', h1, 7001), await fromOutside('tcp', h1, 7002, by6(h1))]).toEqual(['word', '', 'word']);
    }
    // it sees its clients' addresses
    expect(await echo.exec('ss', '-Htn', 'state', 'established')).toContain(`${by6(h3)}:`);
    const shown = await docker(h1, 'coat', 'ls');
    for (const text of ['h1 [::]:7001->7000/tcp', `h1 ${by6(h1)}:7002->7000/tcp`, 'h2:7000->7000/udp', 'h2 [::]:7000->7000/udp']) expect(shown).toContain(text);
    expect(await fromHost(h1, 'tcp', 'localhost', 7000)).toBe('word');
    // the agent's part is only to hold it
    await killAgent(h1);
    const last = fresh('word');
    talk.say(last);
    await talk.hears(new RegExp(last));
    expect((await talk.end()).code).toBe(0);
  }), 120_000);

  test('goes with its container from all hosts, and the agent of a host through which a connection passes may die', scene(async (scene) => {
    const echo = await server(scene, h2, '-p', '7000:7000', '-p', '7000:7000/udp');
    const peer = await outsider(scene, h2);
    await echo.moveTo(h1);
    await killAgent(h2);
    expect(await fromOutside('tcp', h2, 7000)).toBe('word');
    await peer.unharmed();
    await echo.docker('rm', '--force');
    await until('the ports to go', async () => (await Promise.all([h1, h2].map((host) => fromOutside('tcp', host, 7000)))).join('') === '', { timeout: PATIENCE_MS });
    // both hosts let it go: others may have it
    for (const host of [h1, h2]) await server(scene, host, '-p', '7000:7000');
  }));

  test('that is in use is refused before the container starts, whoever has it', scene(async (scene) => {
    const echo = await server(scene, h1, '-p', '7000:7000');
    expect(await refused(scene, h1, '-p', '7001:80', '-p', '7000:80')).toMatch(new RegExp(`the port 7000/tcp of this host is in use for the container at ${echo.ip}; choose another one`));
    for (const host of [h1, h2]) {
      const other = new Talk(host, ['socat', '-u', 'TCP-LISTEN:7002', '-']);
      await until('the other program', async () => (await host.exec(['ss', '-Hltn', 'sport', '=', ':7002'])).stdout !== '', { timeout: PATIENCE_MS });
      expect(await refused(scene, host, '-p', '7002:80')).toMatch(/the port 7002\/tcp of this host is in use; choose another one.*ss --tcp/);
      other.signal('SIGTERM');
      await other.end();
    }
    expect(await refused(scene, h2, '-p', '198.51.100.1:7003:80')).toMatch(/this host has no address 198\.51\.100\.1/);
    expect(await refused(scene, h2, '-p', '7003:80/sctp')).toMatch(/ports of TCP and UDP/);
    for (const host of [h1, h2]) expect(await refused(scene, host, '-p', '[::]:7003:80')).toMatch(/the network has no IPv6, so port 80 cannot be reached at ::; make the network with --ipv6/);
    // Docker's own networks respect it as well
    const own = await h1.exec(['docker', 'run', '--rm', '-p', '7000:80', IMAGE, 'true'], { okCodes: [0, 125] });
    expect(own).toMatchObject({ code: 125, stderr: expect.stringMatching(/address already in use/) as string });
  }));

  test('any, one of several, or at one address: what it has become is listed', scene(async (scene) => {
    await server(scene, h2, '-p', '7100:7000');
    const echo = await server(scene, h2, '-p', '7000', '-p', '7100-7109:7000', '-p', '127.0.0.1:7200:7000/udp');
    const ports = await listed(echo);
    const free = ports.find(({ proto, hostPort }) => proto === 'tcp' && hostPort !== 7101)?.hostPort ?? 0;
    expect(free).toBeGreaterThan(1023);
    expect(ports).toHaveLength(3);
    expect(ports).toContainEqual({ host: 'h2', proto: 'tcp', hostPort: 7101, port: 7000 });
    expect(ports).toContainEqual({ host: 'h2', proto: 'udp', hostIp: '127.0.0.1', hostPort: 7200, port: 7000 });
    for (const port of [free, 7101]) expect(await fromOutside('tcp', h2, port)).toBe('word');
    expect([await fromOutside('udp', h2, 7200), await fromHost(h2, 'udp', '127.0.0.1', 7200)]).toEqual(['', 'word']);
    expect(await docker(h2, 'coat', 'ls')).toContain(`h2:${free}->7000/tcp`);
  }));

  test('that is taken at the destination stays where it was', scene(async (scene) => {
    const echo = await server(scene, h1, '-p', '7000:7000');
    await server(scene, h2, '-p', '7000:7000');
    await echo.moveTo(h2);
    expect((await listed(echo)).map(({ host }) => host)).toEqual(['h1']);
    expect(await fromOutside('tcp', h1, 7000)).toBe('word');
  }));

  test('is there again after the engine was killed', scene(async (scene) => {
    await server(scene, h2, '-p', '7000:7000', '--restart', 'always');
    await restartEngine(h2, 'KILL');
    await until('the port', async () => (await fromOutside('tcp', h2, 7000)) === 'word', { timeout: PATIENCE_MS });
  }));
});
