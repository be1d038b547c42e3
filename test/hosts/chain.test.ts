import { expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { agentOf } from '../support/agent.ts';
import { h1, h2, h4, lab } from '../support/hosts.ts';
import { remains } from '../support/remains.ts';
import { scene } from '../support/scene.ts';

/** Rounds of three moves each. For hours of it: COAT_CHAIN_ROUNDS=500. */
const ROUNDS = Number(process.env['COAT_CHAIN_ROUNDS'] ?? 6);
/** What an agent may grow by meanwhile, MiB: less than half of what it had leaked if each move kept the 10 MiB that it carries. */
const GROWTH_MIB = 60;

interface Agent { fds: number; mib: number }

async function agent(host: LabHost): Promise<Agent> {
  const pid = await agentOf(host);
  const { stdout } = await host.exec(['sh', '-c', `ls /proc/${pid}/fd | wc -l; sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\) kB/\\1/p' /proc/${pid}/status`]);
  const [fds = 0, kib = 0] = stdout.trim().split('\n').map(Number);
  return { fds, mib: kib / 1024 };
}

const agents = (): Promise<Record<string, Agent>> => Promise.all(lab.hosts.map(async (host) => [host.name, await agent(host)] as const)).then(Object.fromEntries) as Promise<Record<string, Agent>>;

test('round and round three hosts: no connection is lost, and nothing grows', scene(async (scene) => {
  const server = await scene.echo(h1);
  const peer = await scene.peer(server, { hz: 100 });
  const round = async (): Promise<void> => {
    for (const to of [h2, h4, h1]) await server.moveTo(to);
  };
  // the first one opens connections that stay
  await round();
  const [before, tidy] = [await agents(), await remains()];
  for (let i = 0; i < ROUNDS; i++) await round();
  const after = await agents();
  for (const { name } of lab.hosts) {
    expect(after[name]!.fds, `open files of the agent of ${name}`).toBeLessThanOrEqual(before[name]!.fds + 8);
    expect(after[name]!.mib - before[name]!.mib, `memory of the agent of ${name}`).toBeLessThan(GROWTH_MIB);
  }
  const now = await remains();
  for (const { name } of lab.hosts) {
    // the container has another id each time
    for (const kind of ['containers', 'volumes', 'images', 'links', 'held', 'forwarding', 'rules', 'processes']) expect(now[name]![kind]?.length, `${kind} of ${name}`).toBe(tidy[name]![kind]?.length);
    for (const kind of ['mounts', 'cgroups', 'layers', 'files']) expect(now[name]![kind]?.length, `${kind} of ${name}`).toBe(tidy[name]![kind]?.length);
  }
  await peer.unharmed();
}), 60_000 + ROUNDS * 40_000);
