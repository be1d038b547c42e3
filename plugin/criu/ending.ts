import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import type { HostSide } from './host.ts';

/** Among the pending signals of /proc/<pid>/status: SIGKILL. */
const KILLED = 1n << 8n;

/** A process as long as it lives, which its pid alone does not say: the pid, and when it began (proc_pid_stat(5), 22). */
export interface Life {
  pid: number;
  began: string;
}

/** @returns nothing where there is no such process */
export function lifeOf(host: HostSide, pid: number): Life | undefined {
  const began = beginOf(host, pid);
  return began === undefined ? undefined : { pid, began };
}

/** Whether a process has ended, or will and cannot run on: a frozen one that was sent SIGKILL dies as it thaws. */
export function isEnding(host: HostSide, { pid, began }: Life): boolean {
  try {
    return beginOf(host, pid) !== began || endingBy(readFileSync(host.path(`/proc/${pid}/status`), 'utf8'));
  } catch {
    return true;
  }
}

/** By /proc/<pid>/status. A first thread that has ended alone is a zombie too, and the process not. */
export function endingBy(status: string): boolean {
  const field = (name: string): string => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(status)?.[1] ?? '';
  const pending = BigInt(`0x${field('ShdPnd') || '0'}`) | BigInt(`0x${field('SigPnd') || '0'}`);
  return (/^[ZX]$/.test(field('State')) && Number(field('Threads')) <= 1) || (pending & KILLED) !== 0n;
}

function beginOf(host: HostSide, pid: number): string | undefined {
  try {
    // the name, in brackets, may have anything in it
    return readFileSync(host.path(`/proc/${pid}/stat`), 'utf8').split(') ').at(-1)!.split(' ')[19];
  } catch {
    return undefined;
  }
}

/** The runc that dumps into a directory, if there is one, and all processes below it, CRIU first among them. */
export async function dumpers(host: HostSide, directory: string): Promise<number[]> {
  const pids = (await readdir(host.path('/proc'))).filter((name) => /^\d+$/.test(name)).map(Number);
  const read = (pid: number, file: string): Promise<string> => readFile(host.path(`/proc/${pid}/${file}`), 'utf8').catch(() => '');
  const all = await Promise.all(pids.map(async (pid) => ({ pid, parent: Number((await read(pid, 'stat')).split(') ').at(-1)!.split(' ')[1]), line: await read(pid, 'cmdline') })));
  let found = all.filter(({ line }) => line.includes(`--image-path=${directory}/`)).map(({ pid }) => pid);
  for (let before = -1; found.length > before; ) {
    before = found.length;
    found = all.filter(({ pid, parent }) => found.includes(pid) || found.includes(parent)).map(({ pid }) => pid);
  }
  return found;
}

/** One that has ended already is fine. */
export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended already
  }
}
