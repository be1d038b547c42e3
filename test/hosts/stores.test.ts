import { copyFile, cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { buildIn } from '../../lab/images/build.ts';
import { registryProgram } from '../../lab/images/registry.ts';
import { makeHostCgroups } from '../../lab/kernel/cgroups.ts';
import type { LabHost } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { docker, expectMoved, fresh, IMAGE, migrate, type Moved, PATIENCE_MS } from '../support/hosts.ts';
import { Container, Peer, WORKLOAD } from '../support/scene.ts';
import { differences, filesOf, MANIFEST } from '../support/manifest.ts';
import { importSmall, onTop } from '../support/small-image.ts';

/** Two engines with containerd's image store and one with overlay2; a lab of its own. */
const NAME = 't-stores';
let lab: Lab;
let [h1, h2, h3]: LabHost[] = [];

beforeAll(async () => {
  await Lab.open(NAME).then((stale) => stale.down(), () => undefined);
  lab = await Lab.up({ name: NAME, hosts: 3, engines: [26, 28, 28], store: ['containerd', 'containerd', 'overlay2'] });
  [h1, h2, h3] = lab.hosts as [LabHost, LabHost, LabHost];
  await cp(join(import.meta.dirname, '../../lab/workload'), join(lab.shared, 'workload'), { recursive: true });
  await cp(join(import.meta.dirname, '../fixtures'), join(lab.shared, 'fixtures'), { recursive: true });
  await docker(h1, 'network', 'create', '-d', 'coat', '--ipam-driver', 'coat', '--subnet', '10.44.0.0/24', 'shop');
  for (const host of lab.hosts) await until(`the network on ${host.name}`, async () => (await host.exec(['docker', 'network', 'inspect', 'shop'], { okCodes: [0, 1] })).code === 0, { timeout: PATIENCE_MS });
});
afterAll(() => lab?.down());

async function run(host: LabHost, word: string, command: string[], { image = IMAGE, options = WORKLOAD }: { image?: string; options?: string[] } = {}): Promise<Container> {
  const name = fresh(word);
  await docker(host, 'run', '--detach', '--name', name, '--network', 'shop', ...options, image, ...command);
  return new Container(host, name, await docker(host, 'inspect', '--format', '{{.NetworkSettings.Networks.shop.IPAddress}}', name));
}

/** An echo server, and a client of it on another host. */
async function served(host: LabHost, image: string = IMAGE): Promise<{ server: Container; peer: Peer }> {
  const server = await run(host, 'echo', ['python3', '/w/echo.py'], { image });
  await server.says('ready');
  const { name, ip } = await run(h3!, 'peer', ['python3', '/w/pulse.py', server.ip]);
  const peer = new Peer(h3!, name, ip);
  await peer.says('connected');
  return { server, peer };
}

async function move(container: Container, to: LabHost): Promise<Moved['report']> {
  const moved = await migrate(container.host, container.name, to.name);
  expectMoved(moved);
  container.host = to;
  expect(await docker(to, 'inspect', '--format', '{{.State.Running}}', container.name)).toBe('true');
  return moved.report;
}

test('a connection goes on, and files stay what they are, from one image store to the other and back', async () => {
  const { server, peer } = await served(h1!);
  const options = [...WORKLOAD, ...MANIFEST];
  const moving = await run(h1!, 'rewrite', ['python3', '/w/rewrite.py'], { options });
  await moving.says('prepared');
  // containerd to containerd, from there to overlay2, and back
  for (const to of [h2!, h3!, h1!]) {
    expect((await move(server, to)).image).toBe('present');
    await move(moving, to);
    await peer.goesOn();
  }
  expect(await peer.unharmed()).toMatchObject({ timeouts: 0 });

  await moving.docker('kill', '--signal', 'TERM');
  const [, steps = ''] = (await moving.says(/^steps \d+$/)).split(' ');
  expect(await moving.exec('cat', '/srv/steps')).toBe(Array.from({ length: Number(steps) }, (_, number) => number).join('\n'));
  const still = await run(h1!, 'still', ['python3', '/w/rewrite.py', `--steps=${steps}`], { options });
  await still.says(`steps ${steps}`);
  const wanted = await filesOf(still);
  expect(differences(wanted, await filesOf(moving))).toEqual([]);
  expect(wanted.size).toBeGreaterThan(1_000);
});

test('an image goes from store to store, without the layers that are there', async () => {
  for (const [from, to, filtered] of [[h1!, h3!, false], [h3!, h1!, true], [h1!, h2!, true]] as const) {
    const base = fresh('base');
    await importSmall(from, base);
    const { server, peer } = await served(from, base);
    const whole = await move(server, to);
    expect(whole.image).toBe('sent');
    expect(await server.exec('cat', '/label')).toBe(base);
    expect(await server.docker('inspect', '--format', '{{.Config.Image}}')).toBe(base);
    expect((await move(server, from)).image).toBe('present');
    await peer.unharmed();

    const more = fresh('more');
    await onTop(from, base, more);
    const top = await run(from, 'top', ['sleep', 'infinity'], { image: more });
    const { image, bytes } = await move(top, to);
    expect(image).toBe('sent');
    // what containerd has packed has another digest than its content, by which overlay2 knows layers
    expect(bytes.image / whole.bytes.image < 0.1, `${bytes.image} of ${whole.bytes.image} bytes from ${from.name} to ${to.name}`).toBe(filtered);
    expect(await top.exec('cat', '/on-top', '/label')).toBe(`${more}\n${base}`);
    expect((await move(top, from)).image).toBe('present');
  }
});

test('an image that a registry has is pulled at the destination, and sent where the registry is away', async () => {
  const program = await registryProgram(buildIn(await makeHostCgroups(lab.name, 'h3'), () => undefined));
  await copyFile(program, join(lab.shared, 'docker-registry'));
  const address = `${h3!.address}:5000`;
  await writeFile(join(lab.shared, 'registry.yml'), `version: 0.1\nstorage: { filesystem: { rootdirectory: /var/lib/coat-registry } }\nhttp: { addr: '${address}' }\n`);
  const registry = h3!.spawn(['/share/docker-registry', 'serve', '/share/registry.yml'], { stdio: 'ignore' });
  try {
    await until('the registry', async () => (await h3!.exec(['node', '--eval', `fetch('http://${address}/v2/').then(() => process.exit(0), () => process.exit(1))`], { okCodes: [0, 1] })).code === 0, { timeout: PATIENCE_MS });
    for (const [from, to] of [[h3!, h1!], [h1!, h2!], [h2!, h3!]] as const) {
      const name = `${address}/${fresh('site')}:1`;
      await importSmall(from, name);
      await docker(from, 'push', '--quiet', name);
      const { server, peer } = await served(from, name);
      const { image, bytes } = await move(server, to);
      expect({ image, bytes: bytes.image }).toEqual({ image: 'pulled', bytes: 0 });
      expect(await server.docker('inspect', '--format', '{{.Config.Image}}')).toBe(name);
      expect(await server.exec('cat', '/label')).toBe(name);
      expect((await move(server, from)).image).toBe('present');
      await peer.unharmed();
    }
    const name = `${address}/${fresh('gone')}:1`;
    await importSmall(h3!, name);
    await docker(h3!, 'push', '--quiet', name);
    const { server, peer } = await served(h3!, name);
    h3!.signal(registry, 'SIGKILL');
    const { image, steps } = await move(server, h2!);
    expect(image).toBe('sent');
    expect(steps.map((step) => step.name)).toEqual(expect.arrayContaining(['pull image', 'send image']));
    await peer.unharmed();
  } finally {
    h3!.signal(registry, 'SIGKILL');
  }
});
