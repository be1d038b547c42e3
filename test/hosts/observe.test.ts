import { readFile, rm, writeFile } from 'node:fs/promises';
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

const examined = async (host: LabHost): Promise<Finding[]> => JSON.parse((await host.exec(['docker', 'coat', 'doctor', '--json'], { okCodes: [0, 1], timeout: PATIENCE_MS })).stdout) as Finding[];
const wrong = async (host: LabHost): Promise<string[]> => (await examined(host)).filter(({ state }) => state === 'problem').map(({ check, found }) => `${check}: ${found}`);

test('doctor sends frames there and back, and says whose firewall keeps them', scene(async (scene) => {
  const pass = { check: 'host h2', state: 'ok', found: `${h2.address} answers; TCP 7947 and UDP 4798 pass both ways` };
  expect(await examined(h1)).toContainEqual(pass);
  const barred = async (host: LabHost, hook: string, end: string, sentence: string): Promise<void> => {
    const undo = (): Promise<unknown> => host.exec(['nft', 'delete table inet wall'], { okCodes: [0, 1] });
    scene.finally(undo);
    await host.exec(['nft', `table inet wall { chain c { type filter hook ${hook} priority 0; ip ${end} ${h2.address} udp dport 4798 drop; }; }`]);
    // both ends see the same
    for (const each of [h1, h2]) expect(await wrong(each)).toEqual([`firewall: ${sentence}`]);
    await undo();
  };
  await barred(h1, 'input', 'saddr', 'the firewall of h1 drops what containers on h2 send to h1 (UDP 4798)');
  await barred(h1, 'output', 'daddr', 'the firewall of h1 does not let out what containers on h1 send to h2 (UDP 4798)');

  const onSwitch = (...argv: string[]): Promise<unknown> => run(['ip', 'netns', 'exec', netnsName(lab.name, 'switch'), ...argv]);
  scene.finally(() => onSwitch('nft', 'delete table bridge between').catch(() => undefined));
  await onSwitch('nft', `table bridge between { chain c { type filter hook forward priority 0; ip saddr ${h1.address} ip daddr ${h2.address} udp dport 4798 drop; }; }`);
  expect(await wrong(h2)).toEqual(['firewall: something between h1 and h2 drops what containers on h1 send to h2 (UDP 4798)']);
  await onSwitch('nft', 'delete table bridge between');

  expect(await examined(h1)).toContainEqual(pass);
  for (const host of [h1, h2]) expect((await host.exec(['nft', 'list', 'tables'])).stdout).not.toContain('coat-probe');
}));

test('doctor has CRIU dump a TCP connection, and says why it does not', scene(async (scene) => {
  for (const host of [h1, h2]) expect(await examined(host)).toContainEqual({ check: 'CRIU', state: 'ok', found: expect.stringMatching(/^4\.\d.*, has dumped a TCP connection$/) as string });
  // a newer one, which coat would choose
  const broken = `#!/bin/sh
case "$1" in
  --version) echo 'Version: 99.0' ;;
  check) ;;
  dump) while [ "$1" != --images-dir ]; do shift; done; echo '(00.01) Error (soccr/soccr.c:272): Unable to get TCP_INFO' > "$2/dump.log"; exit 1 ;;
esac
`;
  const file = join(h1.root, 'usr/local/sbin/criu');
  scene.finally(() => rm(file, { force: true }));
  await writeFile(file, broken, { mode: 0o755 });
  expect(await wrong(h1)).toEqual(['CRIU: 99.0, /usr/local/sbin/criu, does not dump a TCP connection here: soccr/soccr.c:272: Unable to get TCP_INFO']);
  await rm(file);
  expect(await wrong(h1)).toEqual([]);
  for (const host of [h1, h2]) expect((await host.exec(['sh', '-c', 'ls -d /run/coat/doctor.* /run/coat/netns/doctor-* 2>/dev/null; ps -eo args | grep -x "sleep 60" || true'])).stdout).toBe('');
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
