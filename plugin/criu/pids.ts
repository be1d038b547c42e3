import { readFileSync } from 'node:fs';
import type { HostSide } from './host.ts';

/** A process's number in its innermost namespace, which is how a container and CRIU's images count (proc_pid_status(5), NSpid). */
export function innerPid(host: HostSide, pid: number): number {
  const status = readFileSync(host.path(`/proc/${pid}/status`), 'utf8');
  return Number(/^NSpid:.*?(\d+)$/m.exec(status)?.[1] ?? pid);
}
