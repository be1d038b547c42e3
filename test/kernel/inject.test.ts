import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { libc } from '../../driver/kernel/libc.ts';
import { inject } from '../../plugin/memory/ptrace.ts';
import { Stranger } from '../support/stranger.ts';

const PROGRAM = join(import.meta.dirname, '../fixtures/signalled.py');
/** asm/unistd_64.h. */
const [GETPID, KILL] = [39, 62];
/** As Python numbers it: the C library keeps two for itself (signal(7)). */
const SIGRTMIN = 34;

let program: Stranger;
let pid: number;

beforeEach(async () => {
  program = await Stranger.start(PROGRAM);
  ({ pid } = program);
});

afterEach(() => program.end());

async function end(): Promise<{ signals: number; bytes: number }> {
  program.kill('SIGTERM');
  const [signals, bytes] = (await program.hears()).split(' ').map(Number);
  return { signals: signals!, bytes: bytes! };
}

test('of a thousand signals that come while it is made to make calls none is lost, and each call is made', async () => {
  const { syscall } = await libc();
  for (let i = 0; i < 1_000; i++) {
    // one is there before it is stopped, one when it makes its calls
    syscall(KILL, pid, SIGRTMIN, 0);
    const made = await inject(`/proc/${pid}`, pid, (call) => {
      const first = call(GETPID);
      syscall(KILL, pid, SIGRTMIN, 0);
      return [first, call(GETPID)];
    });
    expect(made).toEqual([pid, pid]);
  }
  expect(await end()).toEqual({ signals: 2_000, bytes: 0 });
});

test('what it reads meanwhile it reads once', async () => {
  for (let i = 0; i < 1_000; i++) {
    program.say('x');
    expect(await inject(`/proc/${pid}`, pid, (call) => call(GETPID))).toBe(pid);
  }
  expect(await end()).toEqual({ signals: 0, bytes: 1_000 });
});

test('one that is ended while it makes a call is gone, and whoever made it hears so', async () => {
  const { syscall } = await libc();
  await expect(inject(`/proc/${pid}`, pid, (call) => {
    syscall(KILL, pid, 9, 0);
    return call(GETPID);
  })).rejects.toThrow(/has ended|error 3/);
  await program.ended();
});

test('one that has been stopped stays so', async () => {
  program.kill('SIGSTOP');
  expect(await inject(`/proc/${pid}`, pid, (call) => call(GETPID))).toBe(pid);
  program.kill('SIGTERM');
  const heard = program.hears();
  expect(await Promise.race([heard, new Promise((resolve) => setTimeout(resolve, 200, 'nothing'))])).toBe('nothing');
  program.kill('SIGCONT');
  expect(await heard).toBe('0 0');
});
