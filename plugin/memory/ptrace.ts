import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { SYSCALL, Tracee } from './tracee.ts';

/** Whether processes of this machine's kind of processor can be made to do something. */
export const canInject = process.arch === 'x64';

/** Makes the process do one system call, whose number and arguments are given. @returns its result, negative for an error */
export type InjectedCall = (number: number, ...args: number[]) => number;

/**
 * Stops the main thread of a process for some 0.1 ms, in which it makes system calls for us, and lets it go on as if nothing had
 * been: what it was doing in the kernel is done again, as after a signal without a handler (ptrace(2), "Syscall restarting").
 *
 * The instruction is that of the vDSO (vdso(7)): nothing of the process's memory is written to.
 *
 * @param proc the process, as `/proc` of the host has it
 * @throws Error where the process cannot be traced: it has ended, or somebody traces it already
 */
export async function inject<T>(proc: string, pid: number, work: (call: InjectedCall) => T): Promise<T> {
  const tracee = await Tracee.stop(pid, syscallIn(proc));
  try {
    return work((number, ...args) => tracee.call(number, args));
  } finally {
    await tracee.letGo();
  }
}

/** Address of a `syscall` in the process's vDSO. */
function syscallIn(proc: string): number {
  const [, from, to] = /^(\w+)-(\w+).*\[vdso\]$/m.exec(readFileSync(`${proc}/maps`, 'utf8')) ?? [];
  if (from === undefined || to === undefined) throw new Error(`${proc} has no vDSO`);
  const start = parseInt(from, 16);
  const code = Buffer.alloc(parseInt(to, 16) - start);
  const file = openSync(`${proc}/mem`, 'r');
  try {
    readSync(file, code, 0, code.length, start);
  } finally {
    closeSync(file);
  }
  const at = code.indexOf(SYSCALL);
  if (at < 0) throw new Error(`the vDSO of ${proc} makes no system call`);
  return start + at;
}
