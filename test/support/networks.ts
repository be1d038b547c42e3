import { explain } from '../../driver/host/errors.ts';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import type { Listing } from '../../plugin/agent/api.ts';
import { docker, fresh, h1, h2, lab, PATIENCE_MS } from './hosts.ts';
import type { Container, Scene } from './scene.ts';

export const CREATE = ['network', 'create', '-d', 'coat', '--ipam-driver', 'coat'];
export const other = (host: LabHost): LabHost => (host === h1 ? h2 : h1);

export const has = async (host: LabHost, network: string): Promise<boolean> => (await host.exec(['docker', 'network', 'inspect', network], { okCodes: [0, 1] })).code === 0;
export const subnetOf = (host: LabHost, network: string): Promise<string> => docker(host, 'network', 'inspect', '--format', '{{(index .IPAM.Config 0).Subnet}}', network);
export const networks = async (): Promise<Listing['networks']> => (JSON.parse(await docker(h1, 'coat', 'ls', '--json')) as Listing).networks;
export const listed = async (name: string): Promise<Listing['networks'][number] | undefined> => (await networks()).find((network) => network.name === name);

/** What there is to know of a network that should be gone. */
async function state(name: string): Promise<string> {
  const record = await listed(name);
  const there = await Promise.all(lab.hosts.map(async (host) => {
    const { stdout } = await host.exec(['docker', 'network', 'inspect', '--format', '{{json .Containers}}', name], { okCodes: [0, 1] });
    return `${host.name}: ${stdout.trim() || 'none'}`;
  }));
  return `record ${JSON.stringify(record)}, ${there.join(', ')}`;
}

/** A network that exists on all hosts, and on none when the test is over. */
export async function create(scene: Scene, host: LabHost, options: readonly string[], name = fresh('net')): Promise<string> {
  scene.finallyEverywhere(async (each) => {
    const { stderr } = await each.exec(['docker', 'network', 'rm', name], { okCodes: [0, 1] });
    await until(`${name} to go from ${each.name}`, async () => !(await has(each, name)) && (await listed(name)) === undefined, { timeout: PATIENCE_MS }).catch(async (error: unknown) => {
      throw new Error(`${explain(error)}; its removal said "${stderr.trim()}"; ${await state(name)}`);
    });
  });
  await docker(host, ...CREATE, ...options, name);
  for (const each of lab.hosts) await until(`${name} on ${each.name}`, () => has(each, name), { timeout: PATIENCE_MS });
  await until(`the name of ${name} to be known`, async () => (await listed(name)) !== undefined, { timeout: PATIENCE_MS });
  scene.network = name;
  return name;
}

export const idle = (scene: Scene, host: LabHost, ...options: string[]): Promise<Container> => scene.run(host, 'idle', ['sleep', 'infinity'], options);

/** Whether a container is answered by an address. */
export async function reaches(container: Container, address: string): Promise<boolean> {
  const { code } = await container.host.exec(['docker', 'exec', container.name, 'ping', '-c', '1', '-W', '1', address], { okCodes: [0, 1, 2] });
  return code === 0;
}
