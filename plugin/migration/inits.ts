import { createReadStream, createWriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Peer } from '../agent/peer.ts';
import { boundFiles, type OciConfig } from '../criu/bundle.ts';
import { DOCKER_INIT, type RunningContainer } from '../criu/container.ts';
import type { HostSide } from '../criu/host.ts';

/** In the engine's directory of a container, which goes when the container does. */
const CARRIED = 'docker-init';

/**
 * Sends the program that Docker has put before a container's own. Each engine mounts the one that it has, and CRIU restores a process
 * only with the very file that it ran.
 */
export async function sendInit(host: HostSide, { pid }: RunningContainer, peer: Peer, id: string, signal: AbortSignal): Promise<void> {
  // what it runs, even where the engine's own has been replaced meanwhile (proc_pid_exe(5))
  await peer.upload(`/v1/moves/init?${new URLSearchParams({ id }).toString()}`, createReadStream(host.path(`/proc/${pid}/exe`)), { signal });
}

/** @param directory the engine's of the container, on the host */
export async function keepInit(host: HostSide, directory: string, stream: Readable): Promise<void> {
  await pipeline(stream, createWriteStream(host.path(`${directory}/${CARRIED}`), { mode: 0o755 }));
}

/**
 * What is to be mounted instead of what an engine says: the init that came along, and what is behind a link. The kernel follows a link at the end of such a
 * path where runc mounts, and not where CRIU does, which then has the link itself in the container (criu/mount-v2.c, __do_bind_mount_v2).
 *
 * @param init whether the container has brought one
 * @param directory see {@link keepInit}
 */
export async function realSources(host: HostSide, config: OciConfig, init: boolean, directory: string): Promise<Map<string, string>> {
  const bound = boundFiles(config);
  const sources = bound.map(({ source }) => source).filter((source) => !source.includes('\n'));
  const { stdout } = await host.run(['readlink', '-f', '--', ...sources], { okCodes: [0, 1] });
  const real = stdout.split('\n').slice(0, -1);
  // one that is not there is the engine's to complain of
  const from = new Map(real.length === sources.length ? sources.map((source, i) => [source, real[i]!] as const) : []);
  for (const { source, destination } of bound) if (init && destination === DOCKER_INIT) from.set(source, `${directory}/${CARRIED}`);
  return from;
}
