import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { libc, type LibC } from '../../driver/kernel/libc.ts';

/** linux/ptrace.h, sys/ptrace.h of x86. */
const SEIZE = 0x4206;
const INTERRUPT = 0x4207;
const GETREGS = 12;
const SETREGS = 13;
const SINGLESTEP = 9;
const DETACH = 17;
/** For as long as this tracer lives the process's own filter of system calls rests, which might kill it for the one it makes here. */
const SUSPEND_SECCOMP = 1 << 21;
/** waitpid(2): threads of others too; and no waiting. */
const WALL = 0x40000000;
const WNOHANG = 1;

/** struct user_regs_struct of x86-64 (sys/user.h): 27 registers of 8 bytes, by their place. */
const REGS = 27 * 8;
const [R10, R8, R9, RAX, RDX, RSI, RDI, ORIG_RAX, RIP] = [7, 9, 8, 10, 12, 13, 14, 15, 16];
/** The instruction `syscall`. */
const SYSCALL = Buffer.from([0x0f, 0x05]);
/** In place of a system call's number: none is to be begun again when the process goes on. */
const NONE = 0xffff_ffff_ffff_ffffn;

/** How long a thread may take to stop, ms; one that waits for a disk does not stop at once. */
const STOP_MS = 1_000;

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
  const t = await libc();
  const instruction = syscallIn(proc);
  const must = (what: string, result: number): void => {
    if (result < 0) throw new Error(`ptrace ${what} of process ${pid}: error ${t.errno()}`);
  };
  must('seize', t.ptrace(SEIZE, pid, 0, SUSPEND_SECCOMP));
  try {
    must('interrupt', t.ptrace(INTERRUPT, pid, 0, 0));
    await stopped(t, pid);
    const saved = Buffer.alloc(REGS);
    must('read', t.ptraceData(GETREGS, pid, 0, saved));
    try {
      return work((number, ...args) => {
        const registers = Buffer.from(saved);
        const set = (place: number, value: bigint): unknown => registers.writeBigUInt64LE(value, place * 8);
        set(RAX, BigInt(number));
        set(ORIG_RAX, NONE);
        set(RIP, BigInt(instruction));
        for (const [i, place] of [RDI, RSI, RDX, R10, R8, R9].entries()) set(place, BigInt(args[i] ?? 0));
        must('write', t.ptraceData(SETREGS, pid, 0, registers));
        must('step', t.ptrace(SINGLESTEP, pid, 0, 0));
        // it is a call that does not sleep
        must('wait', t.waitpid(pid, Buffer.alloc(4), WALL));
        must('read', t.ptraceData(GETREGS, pid, 0, registers));
        return Number(registers.readBigInt64LE(RAX * 8));
      });
    } finally {
      must('write', t.ptraceData(SETREGS, pid, 0, saved));
    }
  } finally {
    t.ptrace(DETACH, pid, 0, 0);
  }
}

async function stopped(t: LibC, pid: number): Promise<void> {
  const status = Buffer.alloc(4);
  for (const since = performance.now(); ; await sleep(1)) {
    const who = t.waitpid(pid, status, WALL | WNOHANG);
    if (who === pid && (status.readInt32LE(0) & 0xff) === 0x7f) return;
    if (who !== 0) throw new Error(`process ${pid} has ended`);
    if (performance.now() - since > STOP_MS) throw new Error(`process ${pid} does not stop`);
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
