import { mkdir } from 'node:fs/promises';
import { CoatError, explain } from '../driver/host/errors.ts';
import { Undo } from '../driver/host/undo.ts';
import { boot } from './boot.ts';
import { alone } from './claim.ts';
import { destroy } from './destroy.ts';
import { makeDisk } from './disk.ts';
import { allDone } from './done.ts';
import { makeImages, type MorePackages } from './images/all.ts';
import { buildIn, type Tell } from './images/build.ts';
import { makeHostCgroups } from './kernel/cgroups.ts';
import { hierarchies } from './kernel/hierarchies.ts';
import { raiseLimits } from './kernel/limits.ts';
import { makeUnderlay } from './kernel/underlay.ts';
import { checkNeeds, defaultCgroup } from './needs.ts';
import { labPlaces, SEED_HOST } from './places.ts';
import { allRecords, readRecord, writeRecord, type LabRecord } from './record.ts';
import { checkName, ENGINES, planHosts, type Engine, type LabSpec, type Store } from './spec.ts';
import { pickSubnet } from './subnet.ts';

export interface UpOptions {
  /** Default `coat`. */
  name?: string;
  /** Number of hosts, default 3. */
  hosts?: number;
  /** Given out in turn; default one of each. */
  engines?: readonly Engine[];
  /** Where they keep images, given out in turn; default overlay2. */
  store?: readonly Store[];
  /** The cgroup version the engines see; default: what this machine itself uses. */
  cgroup?: 1 | 2;
  /** False leaves COAT out. */
  plugin?: boolean;
  /** What hosts have beside what all labs' have; theirs are root file systems of their own. */
  packages?: MorePackages;
  /** Told of each step. */
  log?: Tell;
  /** Makes it stop, and remove what it has made. */
  signal?: AbortSignal;
}

/**
 * Makes a lab, up to engines that answer and `finish` done; when a step fails, nothing of it is left.
 * What an `up` that was killed has left is removed first.
 */
export async function bringUp(options: UpOptions, finish: (spec: LabSpec) => Promise<void>): Promise<LabSpec> {
  const name = checkName(options.name ?? 'coat');
  await checkNeeds(options.cgroup);
  const claim = { what: `"up" of lab ${name}`, tell: options.log ?? (() => undefined), signal: options.signal };
  return alone(name, claim, async () => {
    if ((await readRecord(name))?.complete) {
      throw new CoatError('lab-exists', `there is a lab "${name}" already`, { hint: `look at it: npm run lab -- status --name ${name}; remove it: npm run lab -- down --name ${name}` });
    }
    await destroy(name);
    await raiseLimits();
    await using undo = new Undo((what, error) => claim.tell(`${what}: ${explain(error)}`));
    undo.add(`removing lab ${name}`, () => destroy(name));
    const spec = await plan(name, options);
    const record = await makeHosts(spec, options.packages, claim.tell, options.signal);
    options.signal?.throwIfAborted();
    await finish(spec);
    options.signal?.throwIfAborted();
    await writeRecord({ ...record, complete: true });
    undo.commit();
    return spec;
  });
}

/** Builds what the hosts of a lab are made of, so that the next one need not wait for it. */
export async function buildImages(options: Pick<UpOptions, 'name' | 'engines' | 'log' | 'signal'>): Promise<void> {
  const name = checkName(options.name ?? 'images');
  await checkNeeds();
  const claim = { what: `building the images in the name of lab ${name}`, tell: options.log ?? (() => undefined), signal: options.signal };
  await alone(name, claim, async () => {
    if ((await readRecord(name))?.complete) throw new CoatError('lab-exists', `there is a lab "${name}"`, { hint: 'build in another name' });
    await destroy(name);
    try {
      await imagesOf(await plan(name, options), undefined, claim.tell, options.signal);
    } finally {
      await destroy(name);
    }
  });
}

async function plan(name: string, options: UpOptions): Promise<LabSpec> {
  const subnet = pickSubnet(name, new Set((await allRecords()).map((record) => record.subnet)));
  const hosts = planHosts(options.hosts ?? 3, options.engines ?? ENGINES, subnet, options.store);
  return { name, subnet, cgroup: options.cgroup ?? defaultCgroup(await hierarchies()), hosts };
}

async function imagesOf(spec: LabSpec, packages: MorePackages | undefined, tell: Tell, signal: AbortSignal | undefined): Promise<{ record: LabRecord; images: Awaited<ReturnType<typeof makeImages>> }> {
  const record: LabRecord = { ...spec, complete: false, roots: {} };
  await writeRecord(record);
  await mkdir(labPlaces(spec.name).shared, { recursive: true, mode: 0o755 });
  const images = await makeImages(spec, buildIn(await makeHostCgroups(spec.name, SEED_HOST), tell, signal), packages);
  for (const [engine, { lower }] of images) record.roots[engine] = lower;
  await writeRecord(record);
  return { record, images };
}

async function makeHosts(spec: LabSpec, packages: MorePackages | undefined, tell: Tell, signal: AbortSignal | undefined): Promise<LabRecord> {
  const { record, images } = await imagesOf(spec, packages, tell, signal);
  signal?.throwIfAborted();
  tell(`booting ${spec.hosts.map((host) => `${host.name} (engine ${host.engine})`).join(', ')}`);
  await makeUnderlay(spec);
  await allDone(spec.hosts.map(async (host) => {
    const { lower, seeds } = images.get(host.engine)!;
    await makeDisk(spec, host.name, host.store, buildIn(await makeHostCgroups(spec.name, host.name), tell, signal), seeds[host.store]);
    await boot(spec, host.name, lower, signal);
  }));
  return record;
}
