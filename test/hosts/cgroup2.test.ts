import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { Lab } from '../../lab/lab.ts';

/** Hosts on the unified hierarchy, as most machines are; a lab of its own. */
const NAME = 't-cgroup2';
let lab: Lab;

beforeAll(async () => {
  await Lab.open(NAME).then((stale) => stale.down(), () => undefined);
  lab = await Lab.up({ name: NAME, hosts: 2, engines: [26, 28], cgroup: 2 });
  await cp(join(import.meta.dirname, '../../lab/workload'), join(lab.shared, 'workload'), { recursive: true });
});
afterAll(() => lab?.down());

test('a connection goes on while its server moves there and back on cgroup v2', async () => {
  const [h1, h2] = [lab.host('h1'), lab.host('h2')];
  await h1.exec(['docker', 'network', 'create', '-d', 'coat', '--ipam-driver', 'coat', '--subnet', '10.43.0.0/24', 'shop']);
  await until('the network on h2', async () => (await h2.exec(['docker', 'network', 'inspect', 'shop'], { okCodes: [0, 1] })).code === 0, { timeout: 30_000 });
  const start = ['docker', 'run', '--detach', '--network', 'shop', '--volume', '/share:/share'];
  await h1.exec([...start, '--name', 'echo', '--ip', '10.43.0.10', 'coat-lab/workloads', 'python3', '/share/workload/echo.py']);
  await until('the server', async () => (await h1.exec(['docker', 'logs', 'echo'])).stdout.includes('ready'));
  await h2.exec([...start, '--name', 'pulse', 'coat-lab/workloads', 'python3', '/share/workload/pulse.py', '10.43.0.10']);
  await until('the connection', async () => (await h2.exec(['docker', 'logs', 'pulse'])).stdout.includes('connected'), { timeout: 30_000 });

  for (const [from, to] of [[h1, h2], [h2, h1], [h1, h2]] as const) {
    const { stdout } = await from.exec(['docker', 'coat', 'migrate', '--json', 'echo', to.name], { timeout: 60_000 });
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'migrated', warnings: [] });
    // in the cgroup of the container it is now, not of the one it was
    const { stdout: id } = await to.exec(['docker', 'ps', '--quiet', '--no-trunc', '--filter', 'name=^/echo$']);
    const { stdout: cgroup } = await to.exec(['docker', 'exec', 'echo', 'cat', '/proc/1/cgroup']);
    expect(cgroup).toContain(`0::/docker/${id.trim()}`);
  }

  await h2.exec(['docker', 'kill', '--signal', 'TERM', 'pulse']);
  await until('the result', async () => (await h2.exec(['docker', 'ps', '--quiet', '--filter', 'name=^/pulse$'])).stdout === '', { timeout: 30_000 });
  const { stdout } = await h2.exec(['docker', 'logs', 'pulse']);
  expect(JSON.parse(stdout.trim().split('\n').at(-1)!)).toMatchObject({ alive: 1, errors: [] });
});
