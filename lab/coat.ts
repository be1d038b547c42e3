import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { CoatError } from '../driver/host/errors.ts';
import { run } from '../driver/host/run.ts';
import { until } from '../driver/host/until.ts';
import manifest from '../package.json' with { type: 'json' };
import { makePlugin } from '../plugin/image/main.ts';
import { CLI } from '../plugin/image/places.ts';
import type { LabHost } from './host.ts';
import type { Lab } from './lab.ts';
import { FileLock } from './lock.ts';
import { CACHE, labPlaces } from './places.ts';

/** Not `coat`: that name is for the driver, see README. */
const PLUGIN = `coat/agent:${manifest.version}`;

/** From its start until the agent answers, ms; three of them start at once on two cores. */
const READY_MS = 60_000;

/**
 * Puts COAT into every host of a lab that is up, or its present build in the place of what is there.
 * After a host's restart nothing is to be done: dockerd starts its plugins itself.
 *
 * @param cluster whether the hosts are one by their settings, or belong to none yet
 */
export async function installCoat(lab: Lab, { cluster = true }: { cluster?: boolean } = {}): Promise<void> {
  const secret = randomBytes(16).toString('hex');
  const members = lab.spec.hosts.map(({ name, address }) => `${name}=${address}`).join(',');
  // one build at a time, and none while its files are being linked
  await using _lock = await FileLock.take(join(CACHE, 'plugin.lock'), 'exclusive', { what: `the plugin of lab ${lab.name}` });
  const bundle = await makePlugin(() => undefined);
  const skeleton = await makeSkeleton(lab, bundle);
  await Promise.all(lab.hosts.map(async (host) => {
    const id = await createPlugin(host, skeleton);
    await fillPlugin(lab, host, bundle, id);
    const settings = cluster ? { COAT_HOST: host.name, COAT_HOSTS: members, COAT_SECRET: secret } : { COAT_HOST: '', COAT_HOSTS: '', COAT_SECRET: '' };
    await docker(host, 'plugin', 'set', PLUGIN, ...Object.entries(settings).map(([name, value]) => `${name}=${value}`));
    await docker(host, 'plugin', 'enable', PLUGIN);
    await installCli(host);
    await until(`the agent of ${host.name}`, () => answers(host), { timeout: READY_MS, every: 50 });
  }));
}

/**
 * The bundle with a root file system of nothing, where all hosts see it. Docker compresses what it makes
 * a plugin of, which for the whole takes 8 s a host; so it gets almost nothing, and the files are put
 * into the directory that it has unpacked them to. Only `docker plugin push` would notice.
 *
 * A capability that this machine itself does not have cannot be given to a plugin either.
 */
async function makeSkeleton(lab: Lab, bundle: string): Promise<string> {
  const place = join(lab.shared, '.coat-plugin');
  await rm(place, { recursive: true, force: true });
  await mkdir(join(place, 'rootfs'), { recursive: true });
  const config = JSON.parse(await readFile(join(bundle, 'config.json'), 'utf8')) as { linux: { capabilities: string[] } };
  const all = config.linux.capabilities;
  const held = await run(['setpriv', '--dump']).then(({ stdout }) => /^Capability bounding set: (.*)$/m.exec(stdout)?.[1]?.split(',') ?? []);
  config.linux.capabilities = all.filter((name) => held.includes(name.replace('CAP_', '').toLowerCase()));
  await writeFile(join(place, 'config.json'), JSON.stringify(config));
  return '/share/.coat-plugin';
}

/** @returns Docker's id of the plugin, which is now disabled */
async function createPlugin(host: LabHost, skeleton: string): Promise<string> {
  const known = await host.exec(['docker', 'plugin', 'inspect', '--format', '{{.Enabled}}', PLUGIN], { okCodes: [0, 1] });
  if (known.code !== 0) await docker(host, 'plugin', 'create', PLUGIN, skeleton);
  else if (known.stdout.trim() === 'true') await docker(host, 'plugin', 'disable', '--force', PLUGIN);
  return docker(host, 'plugin', 'inspect', '--format', '{{.Id}}', PLUGIN);
}

/** Hard links where it can be: nothing is copied, and a host takes no space for it. */
async function fillPlugin(lab: Lab, host: LabHost, bundle: string, id: string): Promise<void> {
  if (!/^[0-9a-f]{64}$/.test(id)) throw new CoatError('lab-plugin', `host ${host.name} has no plugin, but "${id}"`);
  const target = join(labPlaces(lab.name).host(host.name), 'docker', 'plugins', id, 'rootfs');
  const source = `${join(bundle, 'rootfs')}/.`;
  const copy = (how: string): Promise<unknown> => run(['cp', '--archive', how, '--remove-destination', source, target]);
  await copy('--link').catch(() => copy('--reflink=auto'));
}

async function installCli(host: LabHost): Promise<void> {
  const directory = join(host.root, 'usr/local/lib/docker/cli-plugins');
  await mkdir(directory, { recursive: true });
  await copyFile(CLI, join(directory, 'docker-coat'));
}

async function docker(host: LabHost, ...args: string[]): Promise<string> {
  const { stdout } = await host.exec(['docker', ...args], { timeout: READY_MS });
  return stdout.trim();
}

/** Whether the local API answers; see plugin/agent/api.ts. */
function answers(host: LabHost): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ socketPath: join(host.root, 'run/coat/agent.sock'), path: '/v1/version', timeout: 2_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.on('timeout', () => asked.destroy());
    asked.on('error', () => resolve(false));
    asked.end();
  });
}
