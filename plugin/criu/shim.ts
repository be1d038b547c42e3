import { readdir, readFile } from 'node:fs/promises';
import { until } from '../../driver/host/until.ts';
import type { HostSide } from './host.ts';

/** A shim ends within milliseconds after containerd has forgotten its task; ms. */
const ENDS_MS = 2_000;
/** As containerd starts its shims (containerd runtime/v2/shim/util.go, Command). */
const SHIM = 'containerd-shim';

/**
 * Has containerd forget a container that has ended, where it could not by itself: a container that is killed while CRIU works on it ends with its cgroup
 * frozen, in which state runc takes it for paused, containerd does not delete it, and nobody tries again. Its shim and its cgroups would stay until
 * the container is started anew.
 *
 * @param id of a container that the engine says has ended
 */
export async function forgetTask(host: HostSide, id: string): Promise<void> {
  let shim: Awaited<ReturnType<typeof shimOf>>;
  await until('the shim to end', async () => (shim = await shimOf(host, id)) === undefined, { timeout: ENDS_MS }).catch(() => undefined);
  if (shim !== undefined) await host.run(['ctr', '--address', shim.address, '--namespace', shim.namespace, 'tasks', 'delete', '--force', id]);
}

/** What a container's shim was started with, while it runs. */
async function shimOf(host: HostSide, id: string): Promise<{ address: string; namespace: string } | undefined> {
  for (const pid of await readdir(host.path('/proc'))) {
    if (!/^\d+$/.test(pid)) continue;
    const argv = (await readFile(host.path(`/proc/${pid}/cmdline`), 'utf8').catch(() => '')).split('\0');
    const after = (flag: string): string | undefined => argv[argv.indexOf(flag) + 1];
    if (!argv[0]!.includes(SHIM) || !argv.includes('-id') || after('-id') !== id) continue;
    const [address, namespace] = [after('-address'), after('-namespace')];
    if (address !== undefined && namespace !== undefined) return { address, namespace };
  }
  return undefined;
}
