import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { libc } from '../../driver/kernel/libc.ts';
import { inject } from '../../plugin/memory/ptrace.ts';

const PROGRAM = join(import.meta.dirname, '../fixtures/signalled.py');
/** asm/unistd_64.h. */
const [GETPID, KILL] = [39, 62];
/** As Python numbers it: the C library keeps two for itself (signal(7)). */
const SIGRTMIN = 34;

let shell: ChildProcess;
let pid: number;

const said = async (): Promise<string> => String(((await once(shell.stdout!, 'data')) as [Buffer])[0]).trim();

beforeEach(async () => {
  // not a child of ours, whose stops Node would take for its end
  shell = spawn('sh', ['-c', 'python3 "$0"; exit', PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] });
  pid = Number(await said());
});

afterEach(async () => {
  const ended = shell.exitCode === null ? once(shell, 'exit') : undefined;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended itself
  }
  await ended;
});

async function end(): Promise<{ signals: number; bytes: number }> {
  const heard = said();
  process.kill(pid, 'SIGTERM');
  const [signals, bytes] = (await heard).split(' ').map(Number);
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
    shell.stdin!.write('x');
    expect(await inject(`/proc/${pid}`, pid, (call) => call(GETPID))).toBe(pid);
  }
  shell.stdin!.end();
  // an empty read is the end, which it reads again and again
  expect(await end()).toEqual({ signals: 0, bytes: 1_000 });
});

test('one that is ended while it makes a call is gone, and whoever made it hears so', async () => {
  const { syscall } = await libc();
  const exited = once(shell, 'exit');
  await expect(inject(`/proc/${pid}`, pid, (call) => {
    syscall(KILL, pid, 9, 0);
    return call(GETPID);
  })).rejects.toThrow(/has ended|error 3/);
  await exited;
});

test('one that has been stopped stays so', async () => {
  process.kill(pid, 'SIGSTOP');
  expect(await inject(`/proc/${pid}`, pid, (call) => call(GETPID))).toBe(pid);
  shell.stdin!.write('x');
  process.kill(pid, 'SIGTERM');
  const heard = said();
  expect(await Promise.race([heard, new Promise((resolve) => setTimeout(resolve, 200, 'nothing'))])).toBe('nothing');
  process.kill(pid, 'SIGCONT');
  expect((await heard).split(' ')[0]).toBe('0');
});
