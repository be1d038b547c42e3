import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { run } from '../../driver/host/run.ts';
import { until } from '../../driver/host/until.ts';
import { CoatError, codeOf } from '../../driver/host/errors.ts';
import { Lab } from '../../lab/lab.ts';
import { FileLock } from '../../lab/lock.ts';
import { labPlaces } from '../../lab/places.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Name of the lab that the tests of this run share. */
    lab: string;
  }
}

/** The network all containers of the tests are on. */
const NETWORK = { name: 'shop', subnet: '10.42.0.0/24' };

/**
 * One lab for all files: h1 and h3 with the older engine, h2 and h4 with the newer; h4 is the spare one.
 * With `COAT_TEST_LAB=<name>` a lab of that name is used again, or made, and left standing.
 *
 * One run at a time has a lab: the next would take it down under the first.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const kept = process.env['COAT_TEST_LAB'];
  const name = kept ?? 't-move';
  const lock = await FileLock.takeNow(labPlaces(name).tests, 'these tests', (holder) => inUse(name, holder));
  if (kept === undefined) await Lab.open(name).then((stale) => stale.down(), unlessNone);
  const lab = (await openLab(kept)) ?? (await Lab.up({ name, hosts: 4, engines: [26, 28] }));
  project.provide('lab', name);
  const root = join(import.meta.dirname, '../..');
  await cp(join(root, 'lab/workload'), join(lab.shared, 'workload'), { recursive: true });
  await cp(join(root, 'test/fixtures'), join(lab.shared, 'fixtures'), { recursive: true });
  await makeNetwork(lab);
  return async () => {
    if (kept === undefined) await lab.down();
    await lock.remove();
  };
}

function inUse(name: string, holder: string): CoatError {
  return new CoatError('lab-in-use', `another run of the tests has the lab ${name}: ${holder}`, { hint: 'wait until it has ended, or give this one a lab of its own: COAT_TEST_LAB=other-name' });
}

async function openLab(name: string | undefined): Promise<Lab | undefined> {
  if (name === undefined) return undefined;
  return Lab.open(name).catch(unlessNone);
}

function unlessNone(error: unknown): undefined {
  if (codeOf(error) !== 'no-lab') throw error;
}

/** Created once, on the first host; the others hear of it. */
async function makeNetwork({ hosts }: Lab): Promise<void> {
  const inspect = ['docker', 'network', 'inspect', NETWORK.name];
  const [first] = hosts;
  if ((await run(first!.command(inspect), { okCodes: [0, 1] })).code !== 0) {
    await first!.exec(['docker', 'network', 'create', '-d', 'coat', '--ipam-driver', 'coat', '--subnet', NETWORK.subnet, NETWORK.name]);
  }
  for (const host of hosts) await until(`the network on ${host.name}`, async () => (await host.exec(inspect, { okCodes: [0, 1] })).code === 0, { timeout: 60_000 });
}
