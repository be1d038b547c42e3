import { access, rm } from 'node:fs/promises';
import { CoatError } from '../../driver/host/errors.ts';
import { readIfThere } from '../../driver/host/files.ts';
import { engineProcess } from '../engine/process.ts';
import type { HostFile } from './api.ts';
import { RUNTIME, settingsFile } from './registration.ts';
import { type SetupDependencies, unregisterRuntime } from './setup.ts';

/** Where docker finds its plugins (docker/cli, cli-plugins/manager). */
const CLI_PLUGINS = ['/usr/local/lib/docker/cli-plugins', '/usr/local/libexec/docker/cli-plugins', '/usr/lib/docker/cli-plugins', '/usr/libexec/docker/cli-plugins', '/root/.docker/cli-plugins'];

const OURS = 'docker coat leave';

/** Everything COAT puts on a host, and the user for it. What of it is there is what {@link listFiles} tells. */
const PLACES: readonly HostFile[] = [
  { path: '/var/lib/coat/bin/coat-runc', what: 'the runtime that containers are restored with', goesWith: OURS },
  { path: '/var/lib/coat/criu', what: 'CRIU with its libraries', goesWith: OURS },
  { path: '/var/lib/coat/etcd', what: "the cluster's records, on hosts that keep the store", goesWith: OURS },
  { path: '/var/lib/coat/driver', what: "this host's copy of the records", goesWith: OURS },
  { path: '/var/lib/coat/journals', what: 'moves that have not ended', goesWith: OURS },
  { path: '/var/lib/coat/history', what: 'what became of moves', goesWith: OURS },
  { path: '/var/lib/coat', what: 'all of these, and smaller files', goesWith: OURS },
  { path: '/run/coat', what: 'sockets, and what containers on their way need', goesWith: OURS },
  { path: '/run/docker/plugins/coat.sock', what: 'the driver, under the name coat', goesWith: OURS },
  ...CLI_PLUGINS.map((directory) => ({ path: `${directory}/docker-coat`, what: 'this command', goesWith: 'rm' })),
];

/** What COAT has put on this host, and the engine's settings where they have an entry of it. */
export async function listFiles(deps: SetupDependencies): Promise<HostFile[]> {
  const there = await Promise.all(PLACES.map(({ path }) => access(deps.host.path(path)).then(() => true, () => false)));
  const files = PLACES.filter((_place, i) => there[i]);
  const settings = await settingsOf(deps).catch(() => undefined);
  if (settings?.text?.includes(deps.paths.coatRuncOnHost)) files.push({ path: settings.file, what: `an entry of it: the runtime ${RUNTIME}`, goesWith: 'docker coat setup --undo' });
  return files;
}

async function settingsOf({ host }: SetupDependencies): Promise<{ file: string; text: string | undefined }> {
  const file = settingsFile((await engineProcess(host)).argv);
  return { file, text: await readIfThere(host.path(file)) };
}

/**
 * Removes from this host everything that {@link listFiles} tells, except for the command. The driver, the store and the
 * servers of this agent must have ended, since their files go too; the plugin itself is the user's to remove.
 *
 * @throws CoatError `runtime-in-use` while there is a container that needs coat-runc; nothing was touched then
 */
export async function removeFromHost(deps: SetupDependencies): Promise<void> {
  const { host, docker } = deps;
  const containers = await docker.listContainers({ all: true });
  const runtimes = await Promise.all(containers.map(async ({ Id }) => (await docker.getContainer(Id).inspect()).HostConfig.Runtime));
  const [needing] = containers.filter((_container, i) => runtimes[i] === RUNTIME);
  if (needing) {
    throw new CoatError('runtime-in-use', `the container ${needing.Names[0]?.replace('/', '') ?? needing.Id} has come here by a move, and its engine cannot start or stop it without coat-runc`, {
      hint: 'move it to another host, or remove it',
    });
  }
  await unregisterRuntime(deps);
  for (const mount of await mountsBelow(deps, '/run/coat')) await host.run(['umount', '--lazy', mount]);
  for (const { path, goesWith } of PLACES) if (goesWith === OURS) await rm(host.path(path), { recursive: true, force: true });
}

/** Mount points of the host below a directory, innermost first (proc_pid_mountinfo(5)). */
async function mountsBelow({ host }: SetupDependencies, directory: string): Promise<string[]> {
  const mounts = (await readIfThere(host.path('/proc/1/mountinfo')))?.split('\n').map((line) => line.split(' ')[4] ?? '') ?? [];
  return mounts.filter((mount) => mount.startsWith(`${directory}/`)).reverse();
}
