import { readFile } from 'node:fs/promises';
import type { HostSide } from '../criu/host.ts';

/** A process in a container's cgroup. */
interface Process {
  pid: number;
  parent: number;
  argv: string[];
}

/** Command lines of what `docker exec` has started in a container, its health checks left out: they end with a move. */
export async function execSessions(host: HostSide, init: number, pids: readonly number[], config: Record<string, unknown>): Promise<string[]> {
  const processes = await Promise.all(pids.map(async (pid): Promise<Process> => {
    const [status, line] = await Promise.all(['status', 'cmdline'].map((name) => readFile(host.path(`/proc/${pid}/${name}`), 'utf8').catch(() => '')));
    return { pid, parent: Number(/^PPid:\s+(\d+)/m.exec(status!)?.[1] ?? 0), argv: line!.split('\0').slice(0, -1) };
  }));
  return strangers(init, processes, probeOf(config['Healthcheck'])).map((argv) => argv.join(' '));
}

/** Those whose parent is not in the container, but for its first process. */
export function strangers(init: number, processes: readonly Process[], probe: readonly string[] | undefined): string[][] {
  const pids = new Set(processes.map(({ pid }) => pid));
  // one that has just ended has no command line
  const outer = processes.filter(({ pid, parent, argv }) => pid !== init && parent !== 0 && !pids.has(parent) && argv.length > 0);
  return outer.map(({ argv }) => argv).filter((argv) => argv.join('\0') !== probe?.join('\0') && argv.join(' ') !== 'runc init');
}

/** What the engine runs to see whether a container is well (moby daemon/health.go). Its default shell is that of the image, or sh. */
function probeOf(healthcheck: unknown): string[] | undefined {
  const [kind, ...words] = (healthcheck as { Test?: string[] } | null | undefined)?.Test ?? [];
  if (kind === 'CMD') return words;
  return kind === 'CMD-SHELL' ? ['/bin/sh', '-c', ...words] : undefined;
}
