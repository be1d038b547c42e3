import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { CoatError } from '../driver/host/errors.ts';
import { readIfThere } from '../driver/host/files.ts';
import { until } from '../driver/host/until.ts';
import { makeHostCgroups } from './kernel/cgroups.ts';
import { initOf } from './kernel/init.ts';
import { labPlaces, NETNS, netnsName, SCRIPTS } from './places.ts';
import type { LabSpec } from './spec.ts';

/** How long an engine may take until it answers; on a busy machine with two cores it takes some. */
const ENGINE_READY_MS = 90_000;

/**
 * Boots a host from its disk and waits until its engine answers. Its network namespace must exist.
 *
 * @param lower the root file system its disk lies on
 */
export async function boot(spec: LabSpec, host: string, lower: string, signal?: AbortSignal): Promise<void> {
  const { base, shared, host: diskOf } = labPlaces(spec.name);
  const cgroups = await makeHostCgroups(spec.name, host);
  const log = join(diskOf(host), 'log', 'boot.log');
  const output = await open(log, 'a');
  const child = spawn('sh', [join(SCRIPTS, 'boot.sh')], {
    cwd: base,
    detached: true,
    stdio: ['ignore', output.fd, output.fd],
    env: {
      PATH: process.env['PATH'],
      LAB_SCRIPTS: SCRIPTS,
      LAB_NAME: host,
      LAB_NETNS: join(NETNS, netnsName(spec.name, host)),
      LAB_LOWER: lower,
      LAB_DISK: diskOf(host),
      LAB_SHARE: shared,
      LAB_CGROUP: String(spec.cgroup),
      LAB_V1: cgroups.v1.join(' '),
      LAB_V2: cgroups.v2,
      LAB_MOUNTS: cgroups.mounts,
    },
  });
  await output.close();
  child.unref();
  let ended = false;
  child.once('exit', () => (ended = true));
  try {
    await until(`the engine of ${host}`, async () => {
      if (ended) return true;
      const pid = initOf(cgroups.v2);
      return pid !== undefined && (await answers(`/proc/${pid}/root/run/docker.sock`));
    }, { timeout: ENGINE_READY_MS, ...(signal && { signal }) });
  } catch (cause) {
    signal?.throwIfAborted();
    throw await notBooted(host, diskOf(host), cause);
  }
  if (ended) throw await notBooted(host, diskOf(host));
}

async function notBooted(host: string, disk: string, cause?: unknown): Promise<CoatError> {
  const tails = await Promise.all(['boot', 'dockerd'].map(async (name) => {
    const text = await readIfThere(join(disk, 'log', `${name}.log`));
    return text?.trim().split('\n').slice(-4).join('\n') ?? '';
  }));
  return new CoatError('lab-boot', `host ${host} did not come up: ${tails.filter(Boolean).join('\n')}`, {
    hint: `its logs are in ${join(disk, 'log')} until the lab is taken down`,
    cause,
  });
}

/** True when an engine answers at this socket (Engine API, `GET /_ping`). */
export function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ socketPath, path: '/_ping', timeout: 2_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.on('timeout', () => asked.destroy());
    asked.on('error', () => resolve(false));
    asked.end();
  });
}
