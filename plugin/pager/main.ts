import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { attempt } from '../../driver/host/attempt.ts';
import { explain } from '../../driver/host/errors.ts';
import { libc } from '../../driver/kernel/libc.ts';
import { createPoll } from '../../driver/kernel/poll.ts';
import { Handover } from '../criu/handover.ts';
import { createHostSide } from '../criu/host.ts';
import { lazyRanges, pagemapOf } from '../criu/pagemap.ts';
import { FILES } from './files.ts';
import { createFaults } from '../memory/faults.ts';
import { readAhead } from './local.ts';
import { Pager } from './pager.ts';
import { PageStore } from './store.ts';

/**
 * A process of its own for one container that has been restored without its memory, which it puts in its place, whatever becomes
 * of the agent. `pager <host's root> <directory on the host> <id of the container>`
 *
 * INVARIANT: while a process of the container may run, this one lives. A container that must be given up is killed first.
 */
/** How long the end of a killed container is waited for, ms. */
const KILL_MS = 5_000;

const [root = '', directory = '', containerId = ''] = process.argv.slice(2);
const host = createHostSide(root);
const at = (name: string): string => join(host.path(directory), name);

process.on('uncaughtException', (error) => giveUp(explain(error)));
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => giveUp(readWhy()));

/** What the agent has written before it sent the signal. */
function readWhy(): string {
  try {
    return readFileSync(at(FILES.why), 'utf8');
  } catch {
    return 'it was told to';
  }
}

/** Kills the container's first process, which takes all others of its namespace with it before it is a zombie (pid_namespaces(7)). */
function killContainer(): void {
  try {
    const pid = Number(readFileSync(at(FILES.init), 'utf8'));
    const about = (file: string): string => readFileSync(join(host.path('/proc'), String(pid), file), 'utf8');
    // its number may be another's by now
    if (!about('cgroup').includes(containerId)) return;
    process.kill(pid, 'SIGKILL');
    for (let waited = 0; waited < KILL_MS && !/^State:\s+[ZX]/m.test(about('status')); waited += 2) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
  } catch {
    // it has not begun, or has ended
  }
}

/** Pages that a dump has left where they were. */
function load(): PageStore {
  const lazy = readdirSync(at('images')).flatMap((name) => {
    const pid = pagemapOf(name);
    return pid === undefined ? [] : [[pid, lazyRanges(readFileSync(at(`images/${name}`)))] as const];
  });
  return new PageStore(new Map(lazy), readAhead(host.path(directory)));
}

async function main(): Promise<void> {
  // the container would go on with wrong memory if this were what the kernel ends when memory is short: proc_pid_oom_score_adj(5)
  attempt(() => writeFileSync('/proc/self/oom_score_adj', '-1000'));
  const c = await libc();
  const parts = { handover: await Handover.listen(at('work')), poll: await createPoll(), open: (fd: number) => createFaults(c, fd), load };
  const pager = new Pager(parts, {
    go: () => writeFileSync(at(FILES.go), ''),
    here: () => writeFileSync(at(FILES.here), ''),
  });
  const server = createServer((agent) => pager.connect(agent));
  server.on('error', (error) => giveUp(error.message));
  server.listen(at(FILES.socket), () => writeFileSync(at(FILES.ready), ''));
  await pager.run();
  end('whole');
}

function giveUp(why: string): never {
  killContainer();
  end(`lost ${why.replace(/\s*\n\s*/g, ' ')}`);
}

function end(outcome: string): never {
  try {
    writeFileSync(at(`${FILES.outcome}.new`), outcome);
    renameSync(at(`${FILES.outcome}.new`), at(FILES.outcome));
    rmSync(at(FILES.socket), { force: true });
  } catch {
    // the directory is gone, and with it whoever wanted to know
  }
  process.exit();
}

writeFileSync(at(FILES.pid), String(process.pid));
main().catch((error: unknown) => giveUp(explain(error)));
