import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { run } from '../../driver/host/run.ts';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { labPlaces, netnsName } from '../../lab/places.ts';
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
    return now.paths.some(({ found }) => found.includes('to h2 carries 1389 bytes')) && now;
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

/** What Prometheus would be told, by name and labels. */
async function metrics(host: LabHost): Promise<Map<string, number>> {
  const body = await new Promise<string>((resolve, reject) => {
    request({ socketPath: join(host.root, 'run/coat/agent.sock'), path: '/metrics' }, (response) => void text(response).then(resolve, reject)).on('error', reject).end();
  });
  return new Map(body.split('\n').filter((line) => line !== '' && !line.startsWith('#')).map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

const logOf = (host: LabHost): Promise<string> => readFile(join(labPlaces(lab.name).host(host.name), 'log/dockerd.log'), 'utf8');

test('a move is counted where it began, and the logs of both hosts have the id of its report', scene(async (scene) => {
  const server = await scene.echo(h1);
  const before = await metrics(h1);
  const { report } = await server.moveTo(h2);
  const after = await metrics(h1);
  const grown = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  expect(grown('coat_moves_total{outcome="migrated"}')).toBe(1);
  expect(grown('coat_move_blackout_seconds_count')).toBe(1);
  expect(grown('coat_move_blackout_seconds_sum')).toBeCloseTo(report.blackout! / 1_000, 6);
  expect(grown('coat_move_bytes_total{kind="memory"}')).toBe(report.bytes.memory);
  expect(grown('coat_endpoints')).toBe(-1);
  expect(grown('coat_docker_call_seconds_count{method="NetworkDriver.DeleteEndpoint",outcome="ok"}')).toBe(1);
  expect([after.get('coat_store_up'), after.get('coat_peer_up{peer="h2"}'), after.get('coat_moves_running')]).toEqual([1, 1, 0]);
  expect((await metrics(h2)).get('coat_endpoints')).toBeGreaterThan(0);

  const op = `\\"op\\":\\"${report.id}\\"`;
  await until('the log of h1 to have it', async () => (await logOf(h1)).split('\n').some((line) => line.includes(op) && line.includes('a move has ended')), { timeout: PATIENCE_MS });
  await until('the log of h2 to have it', async () => (await logOf(h2)).split('\n').some((line) => line.includes(op) && line.includes('an endpoint has arrived')), { timeout: PATIENCE_MS });
}));
