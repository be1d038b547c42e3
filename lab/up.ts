import { mkdir } from 'node:fs/promises';
import { CoatError, explain } from '../driver/host/errors.ts';
import { Undo } from '../driver/host/undo.ts';
import { boot } from './boot.ts';
import { destroy } from './destroy.ts';
import { makeDisk } from './disk.ts';
import { makeImages } from './images/all.ts';
import { hierarchies } from './kernel/hierarchies.ts';
import { raiseLimits } from './kernel/limits.ts';
import { makeUnderlay } from './kernel/underlay.ts';
import { checkNeeds, defaultCgroup } from './needs.ts';
import { labPlaces } from './places.ts';
import { allRecords, readRecord, writeRecord } from './record.ts';
import { checkName, ENGINES, planHosts, type Engine, type LabSpec } from './spec.ts';
import { pickSubnet } from './subnet.ts';

export interface UpOptions {
  /** Default `coat`. */
  name?: string;
  /** Number of hosts, default 3. */
  hosts?: number;
  /** Given out in turn; default one of each. */
  engines?: readonly Engine[];
  /** The cgroup version the engines see; default: what this machine itself uses. */
  cgroup?: 1 | 2;
  /** False leaves COAT out. */
  plugin?: boolean;
  /** Told of each step. */
  log?: (line: string) => void;
}

/** Makes a lab, up to engines that answer; when a step fails, nothing of it is left. */
export async function bringUp(options: UpOptions): Promise<LabSpec> {
  const tell = options.log ?? ((): void => undefined);
  const name = checkName(options.name ?? 'coat');
  await checkNeeds(options.cgroup);
  if ((await readRecord(name)) !== undefined) {
    throw new CoatError('lab-exists', `there is a lab "${name}" already`, { hint: `look at it: npm run lab -- status --name ${name}; remove it: npm run lab -- down --name ${name}` });
  }
  await destroy(name);
  await raiseLimits();

  const subnet = pickSubnet(name, new Set((await allRecords()).map((record) => record.subnet)));
  const hosts = planHosts(options.hosts ?? 3, options.engines ?? ENGINES, subnet);
  const spec: LabSpec = { name, subnet, cgroup: options.cgroup ?? defaultCgroup(await hierarchies()), hosts };
  await using undo = new Undo((what, error) => tell(`${what}: ${explain(error)}`));
  undo.add(`removing lab ${name}`, () => destroy(name));
  await writeRecord(spec, false);
  await mkdir(labPlaces(name).shared, { recursive: true, mode: 0o755 });

  const images = await makeImages(spec, tell);
  tell(`booting ${hosts.map((host) => `${host.name} (engine ${host.engine})`).join(', ')}`);
  await makeUnderlay(spec);
  await Promise.all(hosts.map(async (host) => {
    const { lower, seed } = images.get(host.engine)!;
    await makeDisk(spec, host.name, seed);
    await boot(spec, host.name, lower);
  }));
  await writeRecord(spec, true);
  undo.commit();
  return spec;
}
