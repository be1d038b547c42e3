import { setTimeout as sleep } from 'node:timers/promises';
import { libc, type LibC } from '../../driver/kernel/libc.ts';

/** linux/ptrace.h, sys/ptrace.h of x86. */
const SEIZE = 0x4206;
const INTERRUPT = 0x4207;
const CONT = 7;
const SINGLESTEP = 9;
const GETREGS = 12;
const SETREGS = 13;
const DETACH = 17;
/** PTRACE_O_SUSPEND_SECCOMP: for as long as this tracer lives the process's own filter of system calls rests, which might kill it for one that is made here. */
const SUSPEND_SECCOMP = 1 << 21;
/** waitpid(2): threads of others too; and no waiting. */
const WALL = 0x40000000;
const WNOHANG = 1;
const SIGTRAP = 5;
/** PTRACE_EVENT_STOP. */
const EVENT_STOP = 128;

/** struct user_regs_struct of x86-64 (sys/user.h): 27 registers of 8 bytes, by their place. */
const REGS = 27 * 8;
const [R10, R8, R9, RAX, RDX, RSI, RDI, ORIG_RAX, RIP] = [7, 9, 8, 10, 12, 13, 14, 15, 16];
/** In place of a system call's number: none is to be begun again when the process goes on. */
const NONE = 0xffff_ffff_ffff_ffffn;

/** How long a thread may take to stop, ms; one that waits for a disk does not stop at once. */
const STOP_MS = 1_000;

/** The instruction `syscall` of x86-64. */
export const SYSCALL = Buffer.from([0x0f, 0x05]);

/** Why a thread stands still (ptrace(2), "Stopped states"): it was asked to, it has taken a step, or a signal is about to be delivered to it. */
type Stop = { of: 'request' | 'step' } | { of: 'signal'; signal: number };

/** A thread of another process that stands still, and goes on as if nothing had been. */
export class Tracee {
  readonly #calls: LibC;
  readonly #pid: number;
  readonly #instruction: bigint;
  /** What it goes on with. */
  #saved = Buffer.alloc(REGS);

  private constructor(calls: LibC, pid: number, instruction: number) {
    this.#calls = calls;
    this.#pid = pid;
    this.#instruction = BigInt(instruction);
  }

  /**
   * @param instruction address of a {@link SYSCALL} in it
   * @throws Error where it cannot be traced: it has ended, or somebody traces it already
   */
  static async stop(pid: number, instruction: number): Promise<Tracee> {
    const tracee = new Tracee(await libc(), pid, instruction);
    tracee.#must('seize', SEIZE, SUSPEND_SECCOMP);
    try {
      tracee.#must('interrupt', INTERRUPT);
      for (const since = performance.now(); !tracee.#resting(tracee.#poll()); await sleep(1)) {
        if (performance.now() - since > STOP_MS) throw new Error(`process ${pid} does not stop`);
      }
      tracee.#read(tracee.#saved);
    } catch (error) {
      await tracee.letGo();
      throw error;
    }
    return tracee;
  }

  /** One that was killed meanwhile is its parent's to bury only when its tracer has heard of its end (ptrace(2), "Death under ptrace"). */
  async letGo(): Promise<void> {
    while (this.#calls.ptrace(DETACH, this.#pid, 0, 0) < 0) {
      try {
        this.#poll();
      } catch {
        return;
      }
      await sleep(1);
    }
  }

  /**
   * Has it make a system call that does not sleep. A signal that comes first is handed on: it finds everything as it was, and the call is made
   * when its handler is about to begin.
   *
   * @returns its result, negative for an error
   */
  call(number: number, args: readonly number[]): number {
    const registers = Buffer.alloc(REGS);
    for (;;) {
      this.#saved.copy(registers);
      const set = (place: number, value: bigint): unknown => registers.writeBigUInt64LE(value, place * 8);
      set(RAX, BigInt(number));
      set(ORIG_RAX, NONE);
      set(RIP, this.#instruction);
      for (const [i, place] of [RDI, RSI, RDX, R10, R8, R9].entries()) set(place, BigInt(args[i] ?? 0));
      this.#write(registers);
      this.#must('step', SINGLESTEP);
      const stop = this.#wait();
      this.#read(registers);
      const made = registers.readBigUInt64LE(RIP * 8) === this.#instruction + BigInt(SYSCALL.length);
      this.#write(this.#saved);
      // in one step there is the call's end before any signal: the kernel takes its own first (kernel/signal.c, dequeue_synchronous_signal)
      if (made && stop.of === 'step') return Number(registers.readBigInt64LE(RAX * 8));
      if (stop.of === 'signal') this.#handOn(stop);
    }
  }

  #handOn(stop: Stop): void {
    this.#must('interrupt', INTERRUPT);
    for (let now: Stop | undefined = stop; !this.#resting(now); now = this.#wait());
    this.#read(this.#saved);
  }

  /** Whether it stands still as it was asked to; a signal that comes before is delivered. */
  #resting(stop: Stop | undefined): boolean {
    if (stop?.of === 'signal') this.#must('go on', CONT, stop.signal);
    return stop?.of === 'request';
  }

  #wait(): Stop {
    return this.#asked(WALL)!;
  }

  #poll(): Stop | undefined {
    return this.#asked(WALL | WNOHANG);
  }

  #asked(options: number): Stop | undefined {
    const status = Buffer.alloc(4);
    const who = this.#calls.waitpid(this.#pid, status, options);
    if (who === 0) return undefined;
    if (who !== this.#pid || status[0] !== 0x7f) throw new Error(`process ${this.#pid} has ended`);
    // wait(2): the signal; ptrace(2): and above it, what of
    const [signal, event] = [status[1]!, status.readUInt16LE(2)];
    if (event === EVENT_STOP) return { of: 'request' };
    return signal === SIGTRAP ? { of: 'step' } : { of: 'signal', signal };
  }

  #read(registers: Buffer): void {
    this.#must('read', GETREGS, registers);
  }

  #write(registers: Buffer): void {
    this.#must('write', SETREGS, registers);
  }

  #must(what: string, request: number, data: number | Buffer = 0): void {
    const { ptrace, ptraceData } = this.#calls;
    const result = typeof data === 'number' ? ptrace(request, this.#pid, 0, data) : ptraceData(request, this.#pid, 0, data);
    if (result < 0) throw new Error(`ptrace ${what} of process ${this.#pid}: error ${this.#calls.errno()}`);
  }
}
