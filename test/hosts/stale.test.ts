import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { agentAnswers, engineAnswers, killAgent, restartEngine } from '../support/agent.ts';
import { docker, h1, h2, h3, h4, IMAGE, lab, PATIENCE_MS } from '../support/hosts.ts';
import { CREATE, create, has } from '../support/networks.ts';
import { type Container, scene } from '../support/scene.ts';

/** Whether a container reaches an address, at its first try. */
async function reaches(from: Container, ip: string): Promise<boolean> {
  const argv = ['docker', 'exec', from.name, 'ping', '-c', '1', '-W', '2', ip];
  return (await from.host.exec(argv, { okCodes: [0, 1] })).code === 0;
}

/** Address of a container that may have another one than before. */
async function addressNow({ host, name }: Container): Promise<string> {
  const format = '{{.State.Running}} {{.NetworkSettings.Networks.shop.IPAddress}}';
  return until(`${name} to run`, async () => /^true (\S+)$/.exec(await docker(host, 'inspect', '--format', format, name))?.[1], { timeout: PATIENCE_MS });
}

test('an agent that is killed while containers come and go leaves nothing of them', scene(async (scene) => {
  const other = await scene.run(h3, 'other', ['sleep', 'infinity']);
  /** @param delay between the beginning of a start, or a removal, and the kill, ms */
  async function comeAndGo(host: LabHost, delay: number): Promise<void> {
    const name = scene.name('victim');
    const start = host.exec(['docker', 'run', '--detach', '--name', name, '--network', 'shop', IMAGE, 'sleep', 'infinity'], { okCodes: [0, 125], timeout: 2 * PATIENCE_MS });
    await sleep(delay);
    await killAgent(host);
    const { code } = await start;
    // it may be in the middle of the way out as well
    const removal = docker(host, 'rm', '--force', name);
    if (code === 0) {
      await sleep(delay / 4);
      await killAgent(host);
    }
    await removal.catch(() => docker(host, 'rm', '--force', name));
  }
  // both engines at once: an agent has to grow old before it may be killed again
  await Promise.all(([[h4, [0, 180, 360]], [h3, [90, 270]]] as const).map(async ([host, delays]) => {
    for (const delay of delays) await comeAndGo(host, delay);
    const after = await scene.run(host, 'after', ['sleep', 'infinity']);
    expect(await reaches(other, after.ip)).toBe(true);
  }));
}), 300_000);

test.each([['disabled and enabled', h4], ['disabled and enabled, on the newer engine', h2]])('the plugin is %s while a connection is busy, and nobody notices', async (_, host) =>
  scene(async (scene) => {
    const server = await scene.echo(host);
    const peer = await scene.peer(server);
    const plugin = await docker(host, 'plugin', 'ls', '--filter', 'enabled=true', '--format', '{{.Name}}');
    await docker(host, 'plugin', 'disable', '--force', plugin);
    await peer.goesOn();
    await docker(host, 'plugin', 'enable', plugin);
    await agentAnswers(host);
    await peer.goesOn();
    expect((await peer.unharmed()).timeouts).toBe(0);
    const other = await scene.run(h3, 'other', ['sleep', 'infinity']);
    expect(await reaches(other, server.ip)).toBe(true);
  })(),
);

test.each(['TERM', 'KILL'] as const)('an engine that ends with SIG%s has its containers back on the network', async (signal) =>
  scene(async (scene) => {
    const other = await scene.run(h3, 'other', ['sleep', 'infinity']);
    const always = await scene.run(h4, 'always', ['sleep', 'infinity'], ['--restart', 'always']);
    expect(await reaches(other, always.ip)).toBe(true);
    await restartEngine(h4, signal);
    const ip = await addressNow(always);
    await until('the container to be reached', () => reaches(other, ip), { timeout: PATIENCE_MS });
  })(),
);

test('with live-restore an engine restarts and a connection does not notice', scene(async (scene) => {
  await liveRestore(h4, true);
  scene.finally(() => liveRestore(h4, false));
  const server = await scene.echo(h4);
  const peer = await scene.peer(server);
  await restartEngine(h4, 'TERM');
  await peer.goesOn();
  expect(await addressNow(server)).toBe(server.ip);
  expect((await peer.unharmed()).timeouts).toBe(0);
}));

/** A setting that the engine takes over while it runs (dockerd(8), configuration reload). */
async function liveRestore(host: LabHost, on: boolean): Promise<void> {
  const file = join(host.root, 'etc/docker/daemon.json');
  await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), 'live-restore': on }));
  await host.exec(['kill', '-HUP', (await readFile(join(host.root, 'run/lab/dockerd.pid'), 'utf8')).trim()]);
  await until('the setting', async () => (await docker(host, 'info', '--format', '{{.LiveRestoreEnabled}}')) === String(on), { timeout: PATIENCE_MS });
}

test('a host that loses its power is back on the network, and what it had is reached again', scene(async (scene) => {
  const other = await scene.run(h3, 'other', ['sleep', 'infinity']);
  const always = await scene.run(h4, 'always', ['sleep', 'infinity'], ['--restart', 'always']);
  const before = await create(scene, h1, ['--subnet', '10.74.0.0/24']);
  scene.network = 'shop';
  await lab.kill('h4');
  expect(await reaches(other, always.ip)).toBe(false);
  // networks come and go meanwhile
  await docker(h1, 'network', 'rm', before);
  const meanwhile = scene.name('meanwhile');
  scene.finally(async () => {
    await docker(h1, 'network', 'rm', meanwhile);
    for (const host of lab.hosts) await until(`${meanwhile} to go from ${host.name}`, async () => !(await has(host, meanwhile)), { timeout: PATIENCE_MS });
  });
  await docker(h1, ...CREATE, '--subnet', '10.75.0.0/24', meanwhile);
  await lab.start('h4');
  await engineAnswers(h4);
  const ip = await addressNow(always);
  await until('the container to be reached', () => reaches(other, ip), { timeout: PATIENCE_MS });
  await until('the networks to be those of the cluster', async () => (await has(h4, meanwhile)) && !(await has(h4, before)), { timeout: PATIENCE_MS });
}));

test('with the store out of reach traffic flows, and containers stop and start; afterwards all is as the records say', scene(async (scene) => {
  const server = await scene.echo(h4);
  const peer = await scene.peer(server);
  const doomed = await scene.run(h4, 'doomed', ['sleep', 'infinity']);
  const other = await scene.run(h3, 'other', ['sleep', 'infinity']);
  // h1 has the store
  await lab.cut('h1', 'h4');
  scene.finally(() => lab.heal());
  await peer.goesOn();
  await docker(h4, 'rm', '--force', doomed.name);
  await killAgent(h4);
  await peer.goesOn();
  // what needs the store says so
  const made = await h4.exec(['docker', ...CREATE, '--subnet', '10.76.0.0/24', scene.name('refused')], { okCodes: [0, 1] });
  expect(made).toMatchObject({ code: 1, stderr: expect.stringMatching(/the store of the cluster does not answer/) as string });
  const moved = await h4.exec(['docker', 'coat', 'migrate', server.name, 'h3'], { okCodes: [0, 1, 2] });
  expect(moved.stderr).toMatch(/store/);
  expect(moved.code).not.toBe(0);
  // with an address that was leased in advance
  const early = await scene.run(h4, 'early', ['sleep', 'infinity']);
  expect(await reaches(other, early.ip)).toBe(true);
  await lab.heal();
  await until('the records to have it', async () => (await docker(h1, 'coat', 'ls', '--json')).includes(`"${early.ip}"`), { timeout: PATIENCE_MS });
  await until('the address to be given back', async () => !(await docker(h1, 'coat', 'ls', '--json')).includes(`"${doomed.ip}"`), { timeout: PATIENCE_MS });
  await peer.unharmed();
  const late = await scene.run(h4, 'late', ['sleep', 'infinity']);
  const near = await scene.run(h1, 'near', ['sleep', 'infinity']);
  expect(await reaches(near, late.ip)).toBe(true);
}));

test('an address that is used again at once, with another MAC on another host, is reached there', scene(async (scene) => {
  const other = await scene.run(h3, 'other', ['sleep', 'infinity']);
  const ip = '10.42.0.222';
  for (const [turn, host] of [h4, h2, h1, h4].entries()) {
    const holder = await scene.run(host, 'holder', ['sleep', 'infinity'], ['--ip', ip, '--mac-address', `02:42:0a:2a:de:0${turn}`]);
    expect(await reaches(other, ip)).toBe(true);
    await docker(host, 'rm', '--force', holder.name);
  }
}));

test('what somebody removes by hand is back', scene(async (scene) => {
  const server = await scene.echo(h4);
  const peer = await scene.peer(server);
  const bridge = (await h4.exec(['sh', '-c', "ip -oneline link show type bridge | sed -n 's/^[0-9]*: \\(cb[^:@]*\\).*/\\1/p'"])).stdout.trim();
  await h4.exec(['ip', 'link', 'delete', bridge]);
  await peer.goesOn();
  await h3.exec(['sh', '-c', 'bridge fdb show | grep -w dst | while read mac dev device rest; do bridge fdb delete $mac dev $device self dst "${rest#*dst }" 2>/dev/null || true; done']);
  await peer.goesOn();
  await peer.unharmed();
}));

