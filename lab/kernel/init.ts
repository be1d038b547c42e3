import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The process number, seen from outside, of the init of a running host, or `undefined` when the host
 * is down: the process in the host's cgroup that is number 1 of a namespace directly below ours.
 * Asked of the kernel each time, because a number remembered could be somebody else's by now.
 *
 * @param v2 the host's directory in the unified hierarchy
 */
export function initOf(v2: string): number | undefined {
  return read(join(v2, 'init', 'cgroup.procs')).split('\n').map(Number).find((pid) => pid > 0 && isInit(read(`/proc/${pid}/status`)));
}

/** @param status the text of /proc/<pid>/status (proc_pid_status(5): `NSpid`, outermost first) */
export function isInit(status: string): boolean {
  const numbers = /^NSpid:\s*(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? [];
  return numbers.length === 2 && numbers[1] === '1';
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
