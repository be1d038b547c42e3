import { expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { docker, h1, h2, h3, IMAGE, PATIENCE_MS } from '../support/hosts.ts';
import { scene } from '../support/scene.ts';

/** Containers in all, and how many of them a host has at most at a time. */
const STARTED = 200;
const ALIVE = 6;
/** How many pairs an audit tries while containers come and go. */
const PAIRS = 4;

interface Member {
  host: LabHost;
  name: string;
  ip: string;
  /** On its way out: whoever cannot reach it is right. */
  leaving: boolean;
}

/** Numbers below `limit` that look random and are the same in every run. */
function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    // a linear congruential generator (Numerical Recipes, §7.1); its low bits are poor
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

test('200 containers come and go on three hosts, any two of them can talk, and nothing is left', scene(async (scene) => {
  const alive = new Set<Member>();
  const hosts = [h1, h2, h3];
  const mark = scene.name('churn');
  scene.finallyEverywhere((host) => host.exec(['sh', '-c', `docker ps --all --quiet --filter name=${mark} | xargs --no-run-if-empty docker rm --force`], { timeout: 2 * PATIENCE_MS }));
  let started = 0;

  async function start(host: LabHost): Promise<void> {
    const name = `${mark}-${(started += 1)}`;
    await docker(host, 'run', '--detach', '--name', name, '--network', 'shop', IMAGE, 'sleep', 'infinity');
    const ip = await docker(host, 'inspect', '--format', '{{.NetworkSettings.Networks.shop.IPAddress}}', name);
    expect([...alive].filter((member) => member.ip === ip && !member.leaving)).toEqual([]);
    alive.add({ host, name, ip, leaving: false });
  }

  async function remove(member: Member): Promise<void> {
    member.leaving = true;
    await docker(member.host, 'rm', '--force', member.name);
    alive.delete(member);
  }

  /** Starts and removes on one host, in an order of its own. */
  async function churn(host: LabHost, random: (limit: number) => number): Promise<void> {
    while (started < STARTED) {
      const mine = [...alive].filter((member) => member.host === host);
      if (mine.length < ALIVE && (mine.length < 2 || random(2) === 0)) await start(host);
      else await remove(mine[random(mine.length)]!);
    }
  }

  /** One of two must reach the other at its first try, unless one of them is on its way out. */
  async function talk(from: Member, to: Member): Promise<void> {
    const { code, stdout, stderr } = await from.host.exec(['docker', 'exec', from.name, 'ping', '-c', '1', '-W', '3', to.ip], { okCodes: [0, 1, 2, 126, 127, 128, 137], timeout: PATIENCE_MS });
    if (code !== 0 && !from.leaving && !to.leaving) throw new Error(`${from.name} on ${from.host.name} does not reach ${to.name} (${to.ip}) on ${to.host.name}: ${stdout}${stderr}`);
  }

  let over = false;
  const random = numbers(7);
  async function audit(): Promise<number> {
    for (let tried = 0; ; ) {
      if (over) return tried;
      const settled = [...alive].filter(({ leaving }) => !leaving);
      for (let pair = 0; pair < PAIRS && settled.length > 1; pair += 1, tried += 1) await talk(settled[random(settled.length)]!, settled[random(settled.length)]!);
      await until('two containers', () => over || alive.size > 1, { timeout: PATIENCE_MS });
    }
  }

  const auditing = audit();
  auditing.catch(() => undefined);
  await Promise.all(hosts.map((host, i) => churn(host, numbers(i + 1)))).finally(() => (over = true));
  expect(await auditing).toBeGreaterThan(20);

  // at rest: every pair, and the kernels are what the records say
  const rest = [...alive];
  const mute = 'for ip; do ping -c 1 -W 3 "$ip" > /dev/null || echo "$ip"; done';
  for (const { host, name } of rest) expect(await docker(host, 'exec', name, 'sh', '-c', mute, 'sh', ...rest.map(({ ip }) => ip)), `who does not answer ${name}`).toBe('');
  const wanted = JSON.parse(await docker(h1, 'coat', 'ls', '--json')) as { endpoints: { ip: string; mac: string; host: string }[]; hosts: { name: string; address: string }[] };
  for (const host of hosts) {
    const elsewhere = wanted.endpoints.filter((endpoint) => endpoint.host !== host.name).map(({ mac, host: there }) => `${mac} ${wanted.hosts.find(({ name }) => name === there)!.address}`);
    const entries = async (): Promise<string[]> => (await host.exec(['sh', '-c', "bridge fdb show | sed -n 's/^\\(02[0-9a-f:]*\\) dev cx.* dst \\([0-9.]*\\) .*/\\1 \\2/p'"])).stdout.trim().split('\n').filter(Boolean).sort();
    await until(`the kernel of ${host.name} to be what the records say`, async () => JSON.stringify(await entries()) === JSON.stringify([...new Set(elsewhere)].sort()), { timeout: PATIENCE_MS });
  }
  await Promise.all(hosts.map(async (host) => {
    for (const member of rest.filter((each) => each.host === host)) await remove(member);
  }));
}), 600_000);
