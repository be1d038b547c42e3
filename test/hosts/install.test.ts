import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { BUNDLE } from '../../plugin/image/places.ts';
import manifest from '../../package.json' with { type: 'json' };
import type { Status } from '../../plugin/agent/api.ts';
import { docker, h1, h4, lab, PATIENCE_MS } from '../support/hosts.ts';
import { scene } from '../support/scene.ts';

const NEW = 'coat/agent:new';
const NEW_VERSION = `${manifest.version}-new`;
const METRICS_PORT = 9477;

const status = async (): Promise<Status> => JSON.parse((await h4.exec(['docker', 'coat', 'status', '--json'])).stdout) as Status;
/** Waits for the agent of h4, of whichever version. */
const answers = (version: string): Promise<unknown> =>
  until(`the agent of h4, version ${version}`, async () => {
    const now = await status();
    return now.store.state === 'ok' && now.version === version;
  }, { timeout: 2 * PATIENCE_MS, every: 200 });

test('another version of the plugin takes over as docs/install.md has it, and running containers do not notice', scene(async (scene) => {
  const old = await docker(h4, 'plugin', 'ls', '--filter', 'enabled=true', '--format', '{{.Name}}');
  const settings = JSON.parse(await docker(h4, 'plugin', 'inspect', '--format', '{{json .Settings.Env}}', old)) as string[];
  await bundleFor(scene);
  const server = await scene.echo(h4);
  const peer = await scene.peer(server);
  // one whose server stays where it is
  const still = await scene.peer(await scene.echo(h4), { hz: 100 });
  const early = await scene.run(h4, 'early', ['sleep', 'infinity']);

  // the new one comes beside the old one, which goes on
  scene.finally(() => answers(manifest.version));
  scene.finally(() => docker(h4, 'plugin', 'enable', old).catch(() => undefined));
  scene.finally(() => docker(h4, 'plugin', 'rm', '--force', NEW));
  await h4.exec(['docker', 'plugin', 'create', NEW, '/share/bundle'], { timeout: 4 * PATIENCE_MS });
  await docker(h4, 'plugin', 'set', NEW, ...settings.filter((each) => /^COAT_(HOST|HOSTS|SECRET)=/.test(each)), `COAT_METRICS_PORT=${METRICS_PORT}`);
  await docker(h4, 'plugin', 'disable', '--force', old);
  await peer.goesOn();
  await docker(h4, 'plugin', 'enable', NEW);
  await answers(NEW_VERSION);
  await peer.goesOn();

  // what the old one made belongs to the new one: it restarts, has its names, moves away and back, and goes
  await docker(h4, 'restart', '--time', '0', early.name);
  const late = await scene.run(h4, 'late', ['sleep', 'infinity']);
  await until('names to be found', async () => (await h4.exec(['docker', 'exec', late.name, 'getent', 'hosts', peer.name], { okCodes: [0, 2] })).code === 0, { timeout: PATIENCE_MS });
  await server.moveTo(h1);
  await peer.goesOn();
  await server.moveTo(h4);
  await peer.goesOn();
  expect((await h4.exec(['node', '-e', `fetch('http://127.0.0.1:${METRICS_PORT}/metrics').then((answer) => answer.text()).then(console.log)`])).stdout).toContain(`coat_info{version="${NEW_VERSION}",host="${h4.name}"} 1`);
  expect(await docker(h4, 'network', 'inspect', '--format', '{{.Driver}}', 'shop')).toBe('coat');

  // and back, the other way: containers made by the new version under the old one
  await docker(h4, 'plugin', 'disable', '--force', NEW);
  await docker(h4, 'plugin', 'enable', old);
  await answers(manifest.version);
  await docker(h4, 'rm', '--force', late.name);
  await peer.unharmed();
  expect((await still.unharmed()).timeouts).toBe(0);
}));

/** The bundle where h4 sees it, with another version; a capability this machine does not have is left out of it, as lab/coat.ts does. */
async function bundleFor(scene: { finally(undo: () => unknown): void }): Promise<void> {
  const place = join(lab.shared, 'bundle');
  scene.finally(() => rm(place, { recursive: true, force: true }));
  await rm(place, { recursive: true, force: true });
  await mkdir(place);
  await promisify(execFile)('cp', ['--archive', join(BUNDLE, 'rootfs'), place]);
  await cp(join(lab.shared, '.coat-plugin/config.json'), join(place, 'config.json'));
  const agent = join(place, 'rootfs/usr/lib/coat/agent.cjs');
  await writeFile(agent, (await readFile(agent, 'utf8')).replace(`version: "${manifest.version}"`, `version: "${NEW_VERSION}"`));
}
