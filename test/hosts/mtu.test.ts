import { expect, test } from 'vitest';
import { run } from '../../driver/host/run.ts';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { netnsName } from '../../lab/places.ts';
import type { Finding, Status } from '../../plugin/agent/api.ts';
import { docker, h1, h2, lab, PATIENCE_MS } from '../support/hosts.ts';
import { scene } from '../support/scene.ts';

const status = async (host: LabHost): Promise<Status> => JSON.parse(await docker(host, 'coat', 'status', '--json')) as Status;
const carried = async (host: LabHost, to: string): Promise<number | undefined> => (await status(host)).hosts.find(({ name }) => name === to)?.carries;
const doctor = async (host: LabHost): Promise<Finding[]> => {
  const { stdout } = await host.exec(['docker', 'coat', 'doctor', '--json'], { okCodes: [0, 1], timeout: PATIENCE_MS });
  return (JSON.parse(stdout) as Finding[]).filter(({ check, found }) => check === 'MTU' && found.includes('to h2 '));
};

/** The wire between the switch and a host, which from now on drops larger packets without a word. */
const narrow = (host: LabHost, mtu: number): Promise<unknown> => run(['ip', '-n', netnsName(lab.name, 'switch'), 'link', 'set', host.name, 'mtu', String(mtu)]);

test('a path that gets smaller is reported with what to do, new networks fit through it, and nothing is said when it is whole again', scene(async (scene) => {
  await until('the path to be measured', async () => (await carried(h1, 'h2')) === 1500, { timeout: PATIENCE_MS });
  expect((await status(h1)).paths).toEqual([]);
  scene.finally(() => narrow(h2, 1500));
  await narrow(h2, 1389);
  // found without being asked for
  const { paths } = await until('the status to say so', async () => {
    const now = await status(h1);
    return now.paths.length > 0 && now;
  }, { timeout: 2 * PATIENCE_MS });
  expect(paths).toContainEqual({
    check: 'MTU',
    state: 'problem',
    found: expect.stringMatching(/^the path to h2 carries 1389 bytes, networks? .*\bshop.* sends? up to 1500 /) as string,
    remedy: expect.stringContaining('-o mtu=1339') as string,
  });
  expect(await carried(h1, 'h2')).toBe(1389);
  expect((await doctor(h1)).map(({ state }) => state)).toEqual(['problem']);
  expect(await docker(h1, 'coat', 'status')).toContain('the path to h2 carries 1389 bytes');

  scene.finallyEverywhere(async (host) => {
    await host.exec(['docker', 'network', 'rm', 'fits'], { okCodes: [0, 1] });
    await until('it to go', async () => (await host.exec(['docker', 'network', 'inspect', 'fits'], { okCodes: [0, 1] })).code === 1, { timeout: PATIENCE_MS });
  });
  await docker(h1, 'network', 'create', '-d', 'coat', '--ipam-driver', 'coat', '--subnet', '10.66.0.0/24', 'fits');
  expect(await docker(h1, 'coat', 'ls', '--json')).toMatch(/"subnet": "10\.66\.0\.0\/24",[^}]*"mtu": 1339\b/);

  await narrow(h2, 1500);
  // doctor looks at once
  expect(await doctor(h1)).toEqual([]);
  expect((await status(h1)).paths).toEqual([]);
}));
