import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { CoatError } from '../../../driver/host/errors.ts';
import { exitCodes } from '../exit.ts';
import { type Form, show } from '../format/show.ts';
import { writeJson, type Scene } from '../scene.ts';

interface Who extends Form {
  name?: string;
  address?: string;
}

/** Of files, what the command reads: the agent sees other ones. */
export interface InitOptions extends Who {
  store?: string;
  storeCa?: string;
  storeCert?: string;
  storeKey?: string;
}

/** `docker coat init`: a new cluster with this host. */
export async function init(scene: Scene, { store, storeCa, storeCert, storeKey, ...who }: InitOptions): Promise<number> {
  const files = { ca: storeCa, certificate: storeCert, key: storeKey };
  const entered = await (await scene.agent()).init({ ...withName(who), ...(await storeOf(store, files)) });
  await show(scene, who, {
    value: entered,
    text: () => `${entered.name} (${entered.address}) is the first host of a new cluster.\nFor each other host, make a token here with 'docker coat token', and give it to 'docker coat join' there.\n`,
  });
  return exitCodes.ok;
}

/** `docker coat join`: this host becomes one of a cluster. */
export async function join(scene: Scene, token: string, who: Who): Promise<number> {
  const entered = await (await scene.agent()).join({ token, ...withName(who) });
  const others = entered.hosts.filter(({ name }) => name !== entered.name).map(({ name }) => name);
  await show(scene, who, { value: entered, text: () => `${entered.name} (${entered.address}) has joined the cluster of ${others.join(', ')}.\n` });
  return exitCodes.ok;
}

/** `docker coat token`: one line, for `docker coat join`. How long it is good goes to standard error. */
export async function token(scene: Scene, { ttl, ...form }: Form & { ttl: string }): Promise<number> {
  const made = await (await scene.agent()).token(milliseconds(ttl));
  await show(scene, form, { value: made, text: () => `${made.token}\n` });
  if (!form.json && !form.format) scene.stderr.write(`It lets one host in, until ${new Date(made.expires).toISOString().replace(/\.\d+Z$/, 'Z')}: docker coat join TOKEN\n`);
  return exitCodes.ok;
}

/** `docker coat leave`: this host belongs to no cluster any more. */
export async function leave(scene: Scene, { force, json }: { force?: true; json?: true }): Promise<number> {
  await (await scene.agent()).leave(force === true);
  if (json) writeJson(scene.stdout, {});
  else scene.stdout.write('This host has left its cluster.\n');
  return exitCodes.ok;
}

/** `docker coat rm`: a dead host belongs to the cluster no more. */
export async function rm(scene: Scene, host: string, { force, json }: { force?: true; json?: true }): Promise<number> {
  await (await scene.agent()).remove(host, force === true);
  if (json) writeJson(scene.stdout, { host });
  else scene.stdout.write(`${host} is not a host of the cluster any more, and its containers' addresses are free.\n`);
  return exitCodes.ok;
}

/** @throws CoatError `usage` */
async function storeOf(urls: string | undefined, files: Record<string, string | undefined>): Promise<{ store?: object }> {
  const given = Object.entries(files).flatMap(([what, path]) => (path === undefined ? [] : [[what, path] as const]));
  if (urls === undefined) {
    if (given.length === 0) return {};
    throw new CoatError('usage', 'a certificate without an etcd to show it to', { hint: 'add --store https://host:2379' });
  }
  if ((files['certificate'] === undefined) !== (files['key'] === undefined)) throw new CoatError('usage', 'a certificate and its key go together', { hint: 'give both: --store-cert and --store-key' });
  const read = given.map(async ([what, path]) => {
    const text = await readFile(path, 'utf8').catch((cause: unknown) => {
      throw new CoatError('usage', `${path} cannot be read`, { hint: 'a file in PEM', cause });
    });
    return [what, text] as const;
  });
  return { store: { urls: urls.split(',').map((url) => url.trim()), ...Object.fromEntries(await Promise.all(read)) } };
}

function withName({ name, address }: Who): { name: string; address?: string } {
  return { name: name ?? hostname().split('.')[0]!.toLowerCase(), ...(address === undefined ? {} : { address }) };
}

const UNITS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** @param text as in `90s`, `30m`, `12h`, `7d`. @throws CoatError `usage` */
export function milliseconds(text: string): number {
  const [, number, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const ms = Number(number) * (UNITS[unit ?? ''] ?? NaN);
  if (ms >= 1_000 && ms <= 7 * UNITS['d']!) return ms;
  throw new CoatError('usage', `"${text}" is not how long a token can be good`, { hint: 'a number with its unit, from 1s to 7d: 90s, 30m, 12h' });
}
