import { copyFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../driver/host/errors.ts';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../host.ts';
import { Lab } from '../lab.ts';

export const NETWORK = 'shop';
const SUBNET = '10.42.0.0/24';
const IMAGE = 'coat-lab/workloads';
const PROGRAMS = join(import.meta.dirname, '../workload');

export interface StageOptions {
  log: (line: string) => void;
  signal: AbortSignal;
}

/** A lab of this name with the workload programs in it: the one that is up, or a new one. */
export async function openLab(name: string, { log, signal }: StageOptions): Promise<Lab> {
  const lab = await Lab.up({ name, log, signal }).catch((error: unknown) => {
    if (codeOf(error) !== 'lab-exists') throw error;
    log(`lab ${name} is up already`);
    return Lab.open(name);
  });
  const names = (await readdir(PROGRAMS)).filter((program) => program.endsWith('.py'));
  await Promise.all(names.map((program) => copyFile(join(PROGRAMS, program), join(lab.shared, program))));
  return lab;
}

/** Runs `docker` on a host. @returns what it printed */
export async function docker(host: LabHost, args: readonly string[], signal?: AbortSignal): Promise<string> {
  const { stdout } = await host.exec(['docker', ...args], { timeout: 60_000, ...(signal && { signal }) });
  return stdout.trim();
}

/** Removes containers, on whichever host they are; none is fine. */
export async function removeContainers(lab: Lab, names: readonly string[]): Promise<void> {
  await Promise.all(lab.hosts.map((host) => host.exec(['docker', 'rm', '--force', ...names], { okCodes: [0, 1], timeout: 60_000 })));
}

/**
 * Creates the network on the first host, unless it is there, and waits until every other host has it too.
 *
 * @returns the command, and how long the others took in ms
 */
export async function createNetwork(lab: Lab, signal: AbortSignal): Promise<{ command: string[]; ms: number }> {
  const command = ['network', 'create', '-d', 'coat', '--ipam-driver', 'coat', '--subnet', SUBNET, NETWORK];
  const [first, ...others] = lab.hosts;
  const has = async (host: LabHost): Promise<boolean> => (await host.exec(['docker', 'network', 'inspect', NETWORK], { okCodes: [0, 1] })).code === 0;
  if (!(await has(first!))) await docker(first!, command, signal);
  const began = performance.now();
  await Promise.all(others.map((host) => until(`the network on ${host.name}`, () => has(host), { timeout: 20_000, every: 50, signal })));
  return { command: ['docker', ...command], ms: performance.now() - began };
}

/** The arguments of `docker run` for a container on the network. */
export const runArgs = (name: string, how: readonly string[], argv: readonly string[]): string[] =>
  ['run', ...how, '--name', name, '--network', NETWORK, '--volume', '/share:/share', IMAGE, ...argv];

/** Starts a server and waits until it has printed `ready`. @returns its address on the network */
export async function startServer(host: LabHost, name: string, argv: readonly string[], ready: string, signal: AbortSignal): Promise<string> {
  await docker(host, runArgs(name, ['--detach'], argv), signal);
  await until(`"${ready}" from ${name}`, async () => (await docker(host, ['logs', name], signal)).includes(ready), { timeout: 60_000, every: 100, signal });
  return docker(host, ['inspect', '--format', `{{(index .NetworkSettings.Networks "${NETWORK}").IPAddress}}`, name], signal);
}
