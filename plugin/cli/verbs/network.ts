import { CoatError } from '../../../driver/host/errors.ts';
import type { NetworkDetails } from '../../agent/api.ts';
import { exitCodes } from '../exit.ts';
import { type Form, show } from '../format/show.ts';
import type { Scene } from '../scene.ts';

/** `docker coat network ls`: the networks of the cluster. */
export async function ls(scene: Scene, form: Form): Promise<number> {
  const networks = await (await scene.agent()).networks();
  await show(scene, form, { value: networks, records: networks.map(record), text: async () => (await import('../render/network.ts')).networksText(networks) });
  return exitCodes.ok;
}

/** `docker coat network inspect`: some of them, whole. Fails where one is not known, and prints nothing then. */
export async function inspect(scene: Scene, names: readonly string[], form: Form): Promise<number> {
  const all = await (await scene.agent()).networks();
  const networks = names.map((name) => all.find((network) => network.name === name || network.subnet === name) ?? unknown(name));
  await show(scene, form, { value: networks, records: networks.map(record), text: async () => networks.map((await import('../render/network.ts')).networkText).join('\n') });
  return exitCodes.ok;
}

export interface CreateOptions extends Form {
  subnet?: string[];
  gateway?: string[];
  ipv6?: boolean;
  internal?: boolean;
  opt?: string[];
}

/** `docker coat network create`: one of all hosts. The id goes to standard output alone, as docker's own does. */
export async function create(scene: Scene, name: string, { subnet = [], gateway = [], ipv6 = false, internal = false, opt = [], ...form }: CreateOptions): Promise<number> {
  const options = Object.fromEntries(opt.map((text) => text.split(/=(.*)/s)).map(([key = '', value = '']) => [key, value]));
  const { id } = await (await scene.agent()).createNetwork({ name, subnets: subnet, gateways: gateway, ipv6, internal, options });
  await show(scene, form, { value: { name, id }, text: () => `${id}\n` });
  return exitCodes.ok;
}

/** `docker coat network rm`: prints each that is gone, as docker's own does, and stops at the first that is not. */
export async function remove(scene: Scene, names: readonly string[], form: Form): Promise<number> {
  const agent = await scene.agent();
  for (const name of names) await agent.removeNetwork(name);
  await show(scene, form, { value: names, text: () => names.map((name) => `${name}\n`).join('') });
  return exitCodes.ok;
}

const record = (network: NetworkDetails): object => ({ ...network, name: network.name ?? '', maker: network.maker ?? '' });

function unknown(name: string): never {
  throw new CoatError('no-network', `There is no coat network "${name}".`, { hint: "See 'docker coat network ls'; networks of other drivers are docker's own to show." });
}
