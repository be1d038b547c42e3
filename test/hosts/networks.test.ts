import { describe, expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { docker, expectMoved, fresh, h1, h2, lab, migrate, PATIENCE_MS } from '../support/hosts.ts';
import { CREATE, create, has, idle, listed, networks, other, reaches, subnetOf } from '../support/networks.ts';
import { scene } from '../support/scene.ts';

describe('options', () => {
  test.each([['h1', 771], ['h2', 772]])('typed on %s hold on all hosts', (maker, vni) => scene(async (scene) => {
    const name = await create(scene, lab.host(maker), ['--subnet', '10.61.0.0/24', '-o', `vni=${vni}`, '-o', 'mtu=1300', '-o', 'multicast=off']);
    expect(await listed(name)).toMatchObject({ vni, mtu: 1300, subnet: '10.61.0.0/24' });
    const [one, two] = [await idle(scene, h1), await idle(scene, h2)];
    for (const container of [one, two]) {
      expect(await container.exec('cat', '/sys/class/net/eth0/mtu')).toBe('1300');
      const { stdout } = await container.host.exec(['bridge', 'fdb', 'show', 'dev', `cx${vni.toString(16).padStart(6, '0')}`]);
      expect(stdout).toMatch(/dst 10\./);
      expect(stdout).not.toContain('00:00:00:00:00:00');
    }
    expect(await reaches(one, two.ip)).toBe(true);
    await two.moveTo(h1);
    expect(await two.exec('cat', '/sys/class/net/eth0/mtu')).toBe('1300');
    expect(await reaches(one, two.ip)).toBe(true);
  })());

  test.each([
    [['-o', 'encrypted'], /does not encrypt the traffic of its containers yet/],
    [['-o', 'colour=blue'], /no option "colour"; the options are vni, mtu, multicast/],
    [['-o', 'vni=0'], /vni is a number from 1 to 16777215, not "0"/],
    [['-o', 'mtu=9000'], /an mtu of 9000 bytes is more than the \d+ that fit/],
    [['-o', 'multicast=maybe'], /multicast is "on" or "off"/],
  ])('%j are refused, and leave nothing', (options, sentence) => scene(async () => {
    const before = await networks();
    for (const host of [h1, h2]) {
      const { code, stderr } = await host.exec(['docker', ...CREATE, '--subnet', '10.62.0.0/24', ...options, 'refused'], { okCodes: [0, 1] });
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(sentence) as string });
      expect(await has(host, 'refused')).toBe(false);
    }
    await until('the records to go', async () => JSON.stringify(await networks()) === JSON.stringify(before), { timeout: PATIENCE_MS });
  })());

  test('one VNI that two hosts want at once belongs to one network', scene(async (scene) => {
    const names = [fresh('net'), fresh('net')];
    scene.finallyEverywhere(async (host) => {
      await host.exec(['docker', 'network', 'rm', ...names], { okCodes: [0, 1] });
      await until('both to go', async () => !(await has(host, names[0]!)) && !(await has(host, names[1]!)), { timeout: PATIENCE_MS });
    });
    const results = await Promise.all([h1, h2].map((host, i) =>
      host.exec(['docker', ...CREATE, '--subnet', `10.63.${i}.0/24`, '-o', 'vni=4711', names[i]!], { okCodes: [0, 1] })));
    expect(results.map(({ code }) => code).sort()).toEqual([0, 1]);
    expect(results.find(({ code }) => code === 1)!.stderr).toMatch(/the VNI 4711 belongs to the network/);
    await until('the record of the other one to go', async () => (await networks()).filter(({ subnet }) => subnet.startsWith('10.63.')).length === 1, { timeout: PATIENCE_MS });
  }));

  test("Docker's own are passed on", scene(async (scene) => {
    const name = await create(scene, h1, ['--subnet', '10.64.0.0/24', '-o', 'com.docker.network.driver.mtu=1280', '-o', 'com.docker.network.container_iface_prefix=net']);
    expect(await listed(name)).toMatchObject({ mtu: 1280 });
  }));

  test('reserved addresses stay free on all hosts', scene(async (scene) => {
    const name = await create(scene, h1, ['--subnet', '10.65.0.0/29', '--aux-address', 'printer=10.65.0.2', '--aux-address', 'router=10.65.0.4']);
    const { code, stderr } = await h2.exec(['docker', 'run', '--rm', '--network', name, '--ip', '10.65.0.4', 'coat-lab/workloads', 'true'], { okCodes: [0, 125] });
    expect({ code, stderr }).toEqual({ code: 125, stderr: expect.stringContaining('reserved (--aux-address)') as string });
    const ips = [await idle(scene, h2), await idle(scene, h1), await idle(scene, h2)].map(({ ip }) => ip);
    expect(ips.sort()).toEqual(['10.65.0.3', '10.65.0.5', '10.65.0.6']);
  }));
});

describe('without a subnet', () => {
  test.each(['h1', 'h2'])('a network of %s is on all hosts, and a container moves away from there and back', (maker) => scene(async (scene) => {
    const host = lab.host(maker);
    const name = await create(scene, host, []);
    const subnet = await subnetOf(host, name);
    expect(subnet).toMatch(/^10\.213\.\d+\.0\/24$/);
    expect(await subnetOf(other(host), name)).toBe(subnet);

    const server = await scene.echo(host);
    const peer = await scene.peer(server, { host: other(host) });
    await server.moveTo(other(host));
    await peer.goesOn();
    await server.moveTo(host);
    await peer.goesOn();
    expect(await server.docker('inspect', '--format', `{{(index .NetworkSettings.Networks "${name}").IPAddress}}`)).toBe(server.ip);
    await peer.unharmed();
    // it goes on as any container of a network whose engine chose the addresses
    await server.docker('restart', '--time', '0');
    await server.says('ready');
  })());

  test.each(['h1', 'h2'])('two containers come to %s at once while others are started there', (maker) => scene(async (scene) => {
    const host = lab.host(maker);
    await create(scene, host, []);
    const servers = [await scene.echo(other(host)), await scene.echo(other(host))];
    const peers = [await scene.peer(servers[0]!, { host: other(host) }), await scene.peer(servers[1]!, { host: other(host) })];
    let over = false;
    // one that comes at the very moment may be told to try again
    const starting = (async () => {
      const said = new Set<string>();
      while (!over) {
        const { code, stderr } = await host.exec(['docker', 'run', '--rm', '--network', scene.network, 'coat-lab/workloads', 'hostname', '-i'], { okCodes: [0, 125] });
        if (code !== 0) said.add(/(was meant for a container that comes|another container of this host has)/.exec(stderr)?.[0] ?? stderr);
      }
      return [...said].filter((sentence) => !/^(was meant|another container)/.test(sentence));
    })();
    await Promise.all(servers.map((server) => server.moveTo(host))).finally(() => (over = true));
    expect(await starting).toEqual([]);
    for (const peer of peers) await peer.unharmed();
  })());

  test('containers that start on all hosts at the same moment get addresses of their own', scene(async (scene) => {
    await create(scene, h1, []);
    for (let round = 0; round < 5; round += 1) {
      const ips = await Promise.all(lab.hosts.map(async (host) => (await idle(scene, host)).ip));
      expect(new Set(ips).size).toBe(lab.hosts.length);
    }
  }));

  test('a container that is removed as soon as it has moved gives its address back', scene(async (scene) => {
    await create(scene, h1, []);
    for (const [from, to] of [[h1, h2], [h2, h1]] as const) {
      const server = await scene.echo(from);
      expectMoved(await migrate(from, server.name, to.name));
      await docker(to, 'rm', '--force', server.name);
      await until(`${server.ip} to be free`, async () => !(await docker(h1, 'coat', 'ls', '--json')).includes(`"${server.ip}"`), { timeout: PATIENCE_MS });
    }
  }));

  test('no address of a route of any host is taken', scene(async (scene) => {
    const first = await subnetOf(h1, await create(scene, h1, []));
    const [, third] = /^10\.213\.(\d+)\./.exec(first)!;
    const next = `10.213.${Number(third) + 1}.0/24`;
    scene.finally(() => h2.exec(['ip', 'route', 'del', 'unreachable', next]));
    await h2.exec(['ip', 'route', 'add', 'unreachable', next]);
    expect(await subnetOf(h2, await create(scene, h2, []))).not.toBe(next);
    // another host hears of it within seconds
    await until('h1 to know of the route', async () => {
      const name = fresh('net');
      await docker(h1, ...CREATE, name);
      const subnet = await subnetOf(h1, name);
      await docker(h1, 'network', 'rm', name);
      await until(`${subnet} to go`, async () => !(await networks()).some((network) => network.subnet === subnet), { timeout: 2 * PATIENCE_MS });
      for (const host of lab.hosts) await until(`${name} to go from ${host.name}`, async () => !(await has(host, name)), { timeout: 2 * PATIENCE_MS });
      return subnet !== next;
    }, { timeout: 6 * PATIENCE_MS, every: 1_000 });
  }));

  test('one that is removed while other hosts make it is gone for good', scene(async (scene) => {
    const names = Array.from({ length: 5 }, () => fresh('net'));
    for (const name of names) {
      await docker(h1, ...CREATE, name);
      // its name is known, so the others begin to make it
      await until('the others to hear of it', async () => (await listed(name)) !== undefined, { timeout: PATIENCE_MS, every: 5 });
      await docker(h1, 'network', 'rm', name);
    }
    // what each host had begun before it made this one is over
    await create(scene, h1, []);
    for (const name of names) {
      await until(`the record of ${name} to go`, async () => (await listed(name)) === undefined, { timeout: PATIENCE_MS });
      for (const host of lab.hosts) await until(`${name} to go from ${host.name}`, async () => !(await has(host, name)), { timeout: PATIENCE_MS });
    }
  }));

  test('one name on two hosts at once is one network in the end', scene(async (scene) => {
    const name = fresh('net');
    scene.finallyEverywhere(async (host) => {
      await host.exec(['docker', 'network', 'rm', name], { okCodes: [0, 1] });
      await until(`${name} to go`, async () => !(await has(host, name)), { timeout: PATIENCE_MS });
    });
    await Promise.all([h1, h2].map((host) => docker(host, ...CREATE, name)));
    const same = async (): Promise<boolean> => {
      const found = (await networks()).filter((network) => network.name === name || network.name === undefined);
      if (found.length !== 1 || !(await has(h1, name)) || !(await has(h2, name))) return false;
      return (await subnetOf(h1, name)) === found[0]!.subnet && (await subnetOf(h2, name)) === found[0]!.subnet;
    };
    await until('one network', same, { timeout: PATIENCE_MS });
  }));
});

test('one that is in use on another host is not removed, and its containers do not notice', scene(async (scene) => {
  const name = await create(scene, h1, ['--subnet', '10.68.0.0/24']);
  const server = await scene.echo(h1);
  const peer = await scene.peer(server, { host: h1 });
  const { code, stderr } = await h2.exec(['docker', 'coat', 'network', 'rm', name], { okCodes: [0, 1] });
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(new RegExp(`the network ${name} is in use by .*${server.name} on h1`)) as string });
  const id = await docker(h2, 'network', 'inspect', '--format', '{{.Id}}', name);
  // an engine asks for its own containers alone
  await docker(h2, 'network', 'rm', name);
  await until(`${name} to be back`, async () => (await has(h2, name)) && (await docker(h2, 'network', 'inspect', '--format', '{{.Id}}', name)) !== id, { timeout: PATIENCE_MS });
  const late = await idle(scene, h2);
  expect(await reaches(late, server.ip)).toBe(true);
  await peer.unharmed();
  for (const container of [late, server, peer]) await container.docker('rm', '--force');
  expect(await docker(h2, 'coat', 'network', 'rm', name)).toBe(name);
  for (const host of lab.hosts) await until(`${name} to go from ${host.name}`, async () => !(await has(host, name)), { timeout: PATIENCE_MS });
}));

describe('the outside', () => {
  /** The lab's switch, which is on no host. */
  const outside = h1.address.replace(/\d+$/, '254');

  test('is reached from every host, where Docker drops what it forwards, also after a move', scene(async (scene) => {
    for (const host of [h1, h2]) {
      const { stdout } = await host.exec(['sh', '-c', 'iptables -S FORWARD | head -1; cat /proc/sys/net/bridge/bridge-nf-call-iptables']);
      expect(stdout).toBe('-P FORWARD DROP\n1\n');
    }
    await create(scene, h1, ['--subnet', '10.66.0.0/24']);
    const [one, two] = [await idle(scene, h1), await idle(scene, h2)];
    for (const [container, peer] of [[one, two], [two, one]] as const) {
      expect(await reaches(container, outside)).toBe(true);
      expect(await reaches(container, other(container.host).address)).toBe(true);
      expect(await reaches(container, peer.ip)).toBe(true);
    }
    await one.moveTo(h2);
    expect(await reaches(one, outside)).toBe(true);
    expect(await reaches(one, two.ip)).toBe(true);
    await two.moveTo(h1);
    expect(await reaches(two, outside)).toBe(true);
  }));

  test('is not reached from an internal network, whatever a container does, nor is the host', scene(async (scene) => {
    const name = await create(scene, h2, ['--subnet', '10.67.0.0/24', '--internal']);
    for (const host of lab.hosts) expect(await docker(host, 'network', 'inspect', '--format', '{{.Internal}}', name)).toBe('true');
    const [one, two] = [await idle(scene, h1, '--cap-add', 'NET_ADMIN'), await idle(scene, h2, '--cap-add', 'NET_ADMIN')];
    for (const container of [one, two]) {
      expect(await container.exec('ip', '-o', 'route')).toMatch(/^10\.67\.0\.0\/24 dev eth0 [^\n]*$/);
      await container.exec('ip', 'route', 'add', 'default', 'dev', 'eth0');
      for (const address of [outside, h1.address, h2.address, '172.17.0.1']) expect(await reaches(container, address)).toBe(false);
    }
    expect(await reaches(one, two.ip)).toBe(true);
    await one.moveTo(h2);
    expect(await reaches(two, one.ip)).toBe(true);
    for (const address of [outside, h1.address, h2.address]) expect(await reaches(one, address)).toBe(false);
  }));
});

test('docker coat makes a network on all hosts without being told the drivers', async () => {
  const name = fresh('plainly');
  const id = await docker(h2, 'coat', 'network', 'create', '--subnet', '10.97.0.0/24', '-o', 'mtu=1400', name);
  expect(await docker(h2, 'network', 'inspect', '--format', '{{.Driver}} {{.IPAM.Driver}}', id)).toBe('coat coat');
  for (const host of lab.hosts) await until(`${name} on ${host.name}`, async () => (await host.exec(['docker', 'network', 'inspect', name], { okCodes: [0, 1] })).code === 0, { timeout: PATIENCE_MS });
  const again = await h2.exec(['docker', 'coat', 'network', 'create', '--json', name], { okCodes: [0, 1] });
  expect([again.code, again.stdout]).toEqual([1, expect.stringMatching(/was not created: .*already exists/) as string]);
  await docker(h1, 'network', 'rm', name);
});
