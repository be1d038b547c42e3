import { describe, expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { address6 } from '../../lab/spec.ts';
import { h1, h2, h3, PATIENCE_MS } from '../support/hosts.ts';
import { create, idle, listed, reaches } from '../support/networks.ts';
import { Container, scene } from '../support/scene.ts';

/** The lab's switch, which is on no host. */
const outside = address6(h1.address.replace(/\d+$/, '254'));

const ip6Of = (network: string, container: Container): Promise<string> =>
  container.docker('inspect', '--format', `{{(index .NetworkSettings.Networks "${network}").GlobalIPv6Address}}`);

/** The same container, as others find it by IPv6. */
const by6 = (container: Container, ip6: string): Container => new Container(container.host, container.name, ip6);

/** Counts what it is sent, and says how much that is. */
const COUNTER = `
import socket
server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.bind(("::", 7001))
count = 0
print("ready", flush=True)
while True:
    count, peer = count + 1, server.recvfrom(2048)[1]
    server.sendto(b"%d" % count, peer)
`;
const ASK = `
import socket, sys
client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
client.settimeout(1)
client.sendto(b"?", (sys.argv[1], 7001))
print(client.recv(2048).decode())
`;

describe('IPv4 and IPv6 in one network', () => {
  test('connections of both survive moves to and fro, and UDP goes on', scene(async (scene) => {
    const name = await create(scene, h1, ['--ipv6', '--subnet', '10.71.0.0/24', '--subnet', 'fd00:71::/64']);
    expect(await listed(name)).toMatchObject({ subnet: '10.71.0.0/24', subnet6: 'fd00:71::/64', gateway6: 'fd00:71::1' });
    const server = await scene.echo(h1, { program: ['--host', '::'] });
    const counter = await scene.run(h2, 'udp', ['python3', '-c', COUNTER]);
    await counter.says('ready');
    const [ip6, counter6] = [await ip6Of(name, server), await ip6Of(name, counter)];
    const peers = [await scene.peer(by6(server, ip6)), await scene.peer(by6(server, ip6), { host: h1 }), await scene.peer(server)];
    const count = (): Promise<string> => peers[0]!.exec('python3', '-c', ASK, counter6);
    expect(await count()).toBe('1');

    await server.moveTo(h2);
    for (const peer of peers) await peer.goesOn();
    await counter.moveTo(h1);
    expect(await count()).toBe('2');
    await server.moveTo(h1);
    expect(await ip6Of(name, server)).toBe(ip6);
    // as Docker itself would have made it
    expect(await server.exec('ip', '-6', 'route')).toContain('default via fd00:71::1 dev eth0');
    expect(await server.exec('ip', '-6', '-o', 'address', 'show', 'dev', 'eth0')).not.toContain('tentative');
    for (const peer of peers) await peer.unharmed();
    // it starts again at its addresses
    await server.docker('restart', '--time', '0');
    await server.says('ready');
    expect(await ip6Of(name, server)).toBe(ip6);
  }));

  test('addresses of choice are once in the cluster, names have both, and the outside is reached', scene(async (scene) => {
    // as Docker itself has it for IPv4
    scene.finally(() => h2.exec(['ip6tables', '-P', 'FORWARD', 'ACCEPT']));
    await h2.exec(['ip6tables', '-P', 'FORWARD', 'DROP']);
    const name = await create(scene, h2, ['--ipv6', '--subnet', '10.72.0.0/24', '--subnet', 'fd00:72::/64', '--gateway', 'fd00:72::9']);
    const one = await idle(scene, h1, '--ip6', 'fd00:72::77', '--network-alias', 'six');
    const { code, stderr } = await h2.exec(['docker', 'run', '--rm', '--network', name, '--ip6', 'fd00:72::77', 'coat-lab/workloads', 'true'], { okCodes: [0, 125] });
    expect({ code, stderr }).toEqual({ code: 125, stderr: expect.stringMatching(/fd00:72::77 is in use .*on host h1/) as string });
    // connected while it runs
    scene.network = 'shop';
    const two = await idle(scene, h2);
    await two.docker('network', 'connect', name);
    await until('the name', async () => /^fd00:72::77 /m.test(await two.exec('getent', 'ahosts', 'six')), { timeout: PATIENCE_MS });
    expect(await two.exec('getent', 'hosts', 'fd00:72::77')).toContain(`${one.name}.${name}`);
    for (const address of ['fd00:72::77', 'fd00:72::9', outside, h1.address6]) expect(await reaches(two, address), address).toBe(true);
    expect(await reaches(one, outside)).toBe(true);
    await h2.exec(['docker', 'network', 'disconnect', name, two.name]);
    expect(await reaches(two, 'fd00:72::77')).toBe(false);
  }));

  test('an internal one leads nowhere', scene(async (scene) => {
    await create(scene, h1, ['--ipv6', '--subnet', '10.73.0.0/24', '--subnet', 'fd00:73::/64', '--internal']);
    const [one, two] = [await idle(scene, h1, '--cap-add', 'NET_ADMIN'), await idle(scene, h2, '--cap-add', 'NET_ADMIN')];
    for (const container of [one, two]) {
      expect(await container.exec('ip', '-6', 'route', 'show', 'default')).toBe('');
      await container.exec('ip', 'route', 'add', 'default', 'dev', 'eth0');
      await container.exec('ip', '-6', 'route', 'add', 'default', 'dev', 'eth0');
      for (const address of [outside, container.host.address6]) expect(await reaches(container, address), address).toBe(false);
    }
    expect(await reaches(one, await ip6Of(scene.network, two))).toBe(true);
  }));

  test('without a subnet one is chosen, and a container moves away from there and back', scene(async (scene) => {
    const name = await create(scene, h2, ['--ipv6', '--subnet', '10.74.0.0/24']);
    expect((await listed(name))?.subnet6).toMatch(/^fd[0-9a-f:]+::\/64$/);
    const server = await scene.echo(h2, { program: ['--host', '::'] });
    const ip6 = await ip6Of(name, server);
    const peer = await scene.peer(by6(server, ip6), { host: h3 });
    await server.moveTo(h1);
    await server.moveTo(h2);
    expect(await ip6Of(name, server)).toBe(ip6);
    await peer.unharmed();
  }));

  test('an address that is refused leaves nothing leased', scene(async (scene) => {
    const name = await create(scene, h1, ['--ipv6', '--subnet', '10.77.0.0/30', '--subnet', 'fd00:77::/64']);
    const start = async (...options: string[]): Promise<number> => (await h1.exec(['docker', 'run', '--rm', '--network', name, ...options, 'coat-lab/workloads', 'true'], { okCodes: [0, 125] })).code;
    expect(await start('--ip6', 'fd00:77::1')).toBe(125);
    // there is one address, which Docker has asked for and forgotten
    expect(await start()).toBe(0);
  }));
});
