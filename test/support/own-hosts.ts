import { expect } from 'vitest';
import { installCoat } from '../../lab/coat.ts';
import { takeDown } from '../../lab/destroy.ts';
import type { LabHost } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import type { Problem } from '../../plugin/agent/api.ts';

/** How long anything that hosts do when they join and leave may take, ms. */
export const PATIENCE_MS = 60_000;

/** Three hosts, of both engines, whose agents belong to no cluster. @param name of the lab; one of that name is taken down first */
export async function hostsWithoutCluster(name: string): Promise<Lab> {
  await takeDown(name);
  const lab = await Lab.up({ name, hosts: 3, engines: [26, 28], plugin: false });
  await installCoat(lab, { cluster: false });
  return lab;
}

/** Runs docker on a host. @returns what it printed, without the last line end */
export async function docker(host: LabHost, ...args: string[]): Promise<string> {
  return (await host.exec(['docker', ...args], { timeout: PATIENCE_MS })).stdout.trim();
}

/** A verb of `docker coat` that does what it should. */
export async function coat<T>(host: LabHost, ...args: string[]): Promise<T> {
  return JSON.parse(await docker(host, 'coat', ...args, '--json')) as T;
}

/** A verb of `docker coat` that is refused. @returns the code of the reason */
export async function refused(host: LabHost, ...args: string[]): Promise<string> {
  const { code, stdout } = await host.exec(['docker', 'coat', ...args, '--json'], { okCodes: [0, 1], timeout: PATIENCE_MS });
  const { problem } = JSON.parse(stdout) as { problem?: Problem };
  expect({ code, hint: problem?.hint }).toEqual({ code: 1, hint: expect.stringMatching(/\S/) as string });
  return problem!.code;
}

export const hasNetwork = async (host: LabHost, name: string): Promise<boolean> => (await host.exec(['docker', 'network', 'inspect', name], { okCodes: [0, 1] })).code === 0;

/** Whether a container gets an answer from an address. */
export const reaches = async (host: LabHost, container: string, ip: string): Promise<boolean> =>
  (await host.exec(['docker', 'exec', container, 'ping', '-c', '1', '-W', '1', ip], { okCodes: [0, 1] })).code === 0;
