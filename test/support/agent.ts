import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import { docker, lab, PATIENCE_MS } from './hosts.ts';

/** Process number of the agent as its host counts, from runc's own record. */
export async function agentOf(host: LabHost): Promise<string> {
  const id = await docker(host, 'plugin', 'ls', '--no-trunc', '--filter', 'enabled=true', '--format', '{{.ID}}');
  const state = await readFile(join(host.root, `run/docker/runtime-runc/plugins.moby/${id}/state.json`), 'utf8');
  return String((JSON.parse(state) as { init_process_pid: number }).init_process_pid);
}

/** Waits until the agent answers, and, where `before` is given, until it is another process than that. */
export async function agentAnswers(host: LabHost, before?: string): Promise<void> {
  if (before !== undefined) await until('another agent', async () => (await agentOf(host).catch(() => before)) !== before, { timeout: PATIENCE_MS });
  await until('the agent to answer', async () => (await host.exec(['docker', 'coat', 'status', '--json'], { okCodes: [0, 1] })).code === 0, { timeout: PATIENCE_MS });
}

/**
 * Ends the agent without a word, as the kernel does when memory is short; Docker starts it again. Not one that has hardly begun:
 * until Docker has found its socket, which it looks for after half a second and then every three, it takes such an end for a plugin that cannot start,
 * and disables it (moby plugin/manager_linux.go, pluginPostStart).
 */
export async function killAgent(host: LabHost): Promise<void> {
  const before = await agentOf(host);
  await until('the agent to be six seconds old', async () => Number((await host.exec(['ps', '-o', 'etimes=', '-p', before])).stdout) >= 6, { timeout: PATIENCE_MS });
  await host.exec(['kill', '-KILL', before]);
  await agentAnswers(host, before);
}

/** Waits until the engine answers and has the plugin. */
export async function engineAnswers(host: LabHost): Promise<void> {
  await until('the engine', async () => (await host.exec(['docker', 'info'], { okCodes: [0, 1] })).code === 0, { timeout: 2 * PATIENCE_MS });
  await agentAnswers(host);
}

/** Ends the engine in order, or kills it; the host's init starts it again. */
export async function restartEngine(host: LabHost, signal: 'TERM' | 'KILL'): Promise<void> {
  const pidFile = join(host.root, 'run/lab/dockerd.pid');
  const before = await readFile(pidFile, 'utf8');
  await host.exec(['kill', `-${signal}`, before.trim()]);
  await until('another engine', async () => (await readFile(pidFile, 'utf8')) !== before, { timeout: 2 * PATIENCE_MS });
  await engineAnswers(host);
}

/** What an agent may grow by in many moves, MiB: less than half of what it had leaked if each kept the 10 MiB that it carries. */
const GROWTH_MIB = 60;

/** Open files and resident memory of each agent. */
export async function agents(): Promise<Record<string, { fds: number; mib: number }>> {
  const sizes = lab.hosts.map(async (host) => {
    const pid = await agentOf(host);
    const { stdout } = await host.exec(['sh', '-c', `ls /proc/${pid}/fd | wc -l; sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\) kB/\\1/p' /proc/${pid}/status`]);
    const [fds = 0, kib = 0] = stdout.trim().split('\n').map(Number);
    return [host.name, { fds, mib: kib / 1024 }] as const;
  });
  return Object.fromEntries(await Promise.all(sizes));
}

/** No agent has grown since then by more than what comes and goes. */
export async function expectNoGrowth(before: Awaited<ReturnType<typeof agents>>): Promise<void> {
  let after = await agents();
  const few = (): boolean => Object.entries(after).every(([name, { fds }]) => fds <= before[name]!.fds + 8);
  // connections between agents end when they have not been used for 20 s
  if (!few()) await until('unused connections to end', async () => (after = await agents()) && few(), { timeout: PATIENCE_MS, every: 500 }).catch(() => undefined);
  if (process.env['COAT_TELL'] !== undefined) console.log('agents before and after', JSON.stringify({ before, after }));
  for (const [name, { fds, mib }] of Object.entries(after)) {
    expect(fds, `open files of the agent of ${name}`).toBeLessThanOrEqual(before[name]!.fds + 8);
    expect(mib - before[name]!.mib, `memory of the agent of ${name}`).toBeLessThan(GROWTH_MIB);
  }
}
