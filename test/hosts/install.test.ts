import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { BUNDLE } from '../../plugin/image/places.ts';
import type { Status } from '../../plugin/agent/api.ts';
import { docker, h1, h4, lab, PATIENCE_MS } from '../support/hosts.ts';
import { scene } from '../support/scene.ts';

const FULL = 'coat/full:x';

/** Waits for the agent of h4, whichever it is. */
const answers = (): Promise<unknown> =>
  until('the agent of h4', async () => (JSON.parse((await h4.exec(['docker', 'coat', 'status', '--json'])).stdout) as Status).store.state === 'ok', { timeout: 2 * PATIENCE_MS, every: 200 });

test('the plugin as docs/install.md has it: create, set, enable', scene(async (scene) => {
  const name = await docker(h4, 'plugin', 'ls', '--filter', 'enabled=true', '--format', '{{.Name}}');
  const settings = JSON.parse(await docker(h4, 'plugin', 'inspect', '--format', '{{json .Settings.Env}}', name)) as string[];
  await bundleFor(scene);
  scene.finally(answers);
  scene.finally(() => docker(h4, 'plugin', 'enable', name));
  await docker(h4, 'plugin', 'disable', '--force', name);
  scene.finally(() => docker(h4, 'plugin', 'rm', '--force', FULL));
  await h4.exec(['docker', 'plugin', 'create', FULL, '/share/bundle'], { timeout: 4 * PATIENCE_MS });
  await docker(h4, 'plugin', 'set', FULL, ...settings.filter((each) => /^COAT_(HOST|HOSTS|SECRET)=/.test(each)));
  await docker(h4, 'plugin', 'enable', FULL);
  await answers();

  // it does what a plugin must: a network driver under the name coat, and both ends of a move
  expect(await docker(h4, 'network', 'inspect', '--format', '{{.Driver}}', 'shop')).toBe('coat');
  const server = await scene.echo(h1);
  const peer = await scene.peer(server);
  await server.moveTo(h4);
  await peer.goesOn();
  await server.moveTo(h1);
  await peer.unharmed();
}));

/** The bundle where h4 sees it; a capability this machine does not have is left out of it, as lab/coat.ts does. */
async function bundleFor(scene: { finally(undo: () => unknown): void }): Promise<void> {
  const place = join(lab.shared, 'bundle');
  scene.finally(() => rm(place, { recursive: true, force: true }));
  await rm(place, { recursive: true, force: true });
  await mkdir(place);
  await promisify(execFile)('cp', ['--archive', join(BUNDLE, 'rootfs'), place]);
  await cp(join(lab.shared, '.coat-plugin/config.json'), join(place, 'config.json'));
}
