import Docker from 'dockerode';
import { join } from 'node:path';
import type { LabHost } from '../../lab/host.ts';

/**
 * What tests ask an engine again and again, through its socket: the program docker takes some 70 ms of a processor to say the same, and two of
 * these have everything to do.
 */
export const engineOf = (host: LabHost): Docker => new Docker({ socketPath: join(host.root, 'run/docker.sock') });

/** A container in a list (Engine API, ContainerSummary). */
const all = (host: LabHost, name?: string): Promise<Docker.ContainerInfo[]> => engineOf(host).listContainers({ all: true, ...(name === undefined ? {} : { filters: { name: [name] } }) });

/** State of the container of a name, where there is one. */
export async function stateOf(host: LabHost, name: string): Promise<string | undefined> {
  return (await all(host, `^/${name}$`))[0]?.State;
}

/** What it has written to its standard output so far, without the last line end. */
export async function logOf(host: LabHost, name: string): Promise<string> {
  const log = await engineOf(host).getContainer(name).logs({ stdout: true, stderr: false, follow: false });
  return framed(log).toString().trim();
}

/** Takes the heads of the frames out, which there are where the container has no terminal (Engine API, ContainerAttach, "Stream format"). */
function framed(log: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < log.length; ) {
    if (log[at]! > 2 || log.readUIntBE(at + 1, 3) !== 0) return log;
    const length = log.readUInt32BE(at + 4);
    parts.push(log.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return Buffer.concat(parts);
}

export async function signal(host: LabHost, name: string, which: string): Promise<void> {
  await engineOf(host).getContainer(name).kill({ signal: which });
}

/** Waits for its end. @returns its exit code */
export async function exitOf(host: LabHost, name: string): Promise<number> {
  return ((await engineOf(host).getContainer(name).wait()) as { StatusCode: number }).StatusCode;
}

/** Removes those of these names that there are, with their volumes that have none. */
export async function removeAll(host: LabHost, names: readonly string[]): Promise<void> {
  const wanted = (await all(host)).filter(({ Names }) => Names.some((name) => names.includes(name.slice(1))));
  await Promise.all(wanted.map(({ Id }) => engineOf(host).getContainer(Id).remove({ force: true, v: true })));
}

/** All that it has, a line each. */
export async function belongings(host: LabHost): Promise<Record<'containers' | 'images' | 'volumes', string[]>> {
  const engine = engineOf(host);
  const [containers, images, volumes] = await Promise.all([all(host), engine.listImages({ all: true }), engine.listVolumes()]);
  return {
    containers: containers.map(({ Names, Id, State }) => `${Names.join(' ')} ${Id} ${State}`).sort(),
    images: images.map(({ Id, RepoTags }) => `${Id} ${(RepoTags ?? []).join(' ')}`).sort(),
    volumes: (volumes.Volumes ?? []).map(({ Name }) => Name).sort(),
  };
}
