import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { explain } from '../../driver/host/errors.ts';
import { createHostSide } from '../criu/host.ts';
import { lazyRanges, pagemapOf } from '../criu/pagemap.ts';
import { FILES } from '../criu/pagerfiles.ts';
import { Pager } from './pager.ts';
import { readAhead } from './local.ts';
import { PageStore } from './store.ts';

/**
 * A process of its own for one container that has been restored without its memory: it starts `criu lazy-pages` and gives it
 * pages, whatever becomes of the agent. `pager <host's root> <directory on the host> <id of the container> <command of CRIU>`
 *
 * INVARIANT: while a process of the container may run, `criu lazy-pages` lives and its page server is there. A container that must be
 * given up is killed first.
 */
/** How long the end of a killed container is waited for, ms. */
const KILL_MS = 5_000;

/** From its first fetch on CRIU asks the kernel without a pause for what is new (criu/uffd.c, handle_requests), so others go first: nice(1). */
const NICE = { background: 15, running: 5 } as const;

const [root = '', directory = '', containerId = '', command = ''] = process.argv.slice(2);
const host = createHostSide(root);
const at = (name: string): string => join(host.path(directory), name);

const criu = host.spawn(['sh', '-c', command], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
const pager = new Pager(criu.stdio[3] as Socket, {
  load() {
    const lazy = readdirSync(at('images')).flatMap((name) => {
      const pid = pagemapOf(name);
      return pid === undefined ? [] : [[pid, lazyRanges(readFileSync(at(`images/${name}`)))] as const];
    });
    return new PageStore(new Map(lazy), readAhead(host.path(directory)));
  },
  go: () => writeFileSync(at(FILES.go), ''),
  here: () => writeFileSync(at(FILES.here), ''),
  reached: (what) => setPriority(criu.pid!, NICE[what]),
  failed: (error) => giveUp(explain(error)),
});
criu.stdio[4]!.once('data', () => writeFileSync(at(FILES.ready), ''));
criu.on('error', (error) => giveUp(`criu lazy-pages could not be started: ${error.message}`));
criu.on('exit', (code, signal) => {
  if (code === 0) end('whole');
  else giveUp(`criu lazy-pages ended with ${code ?? signal}`);
});

const server = createServer((agent) => pager.connect(agent));
server.listen(at(FILES.socket));
server.on('error', (error) => giveUp(error.message));
writeFileSync(at(FILES.pid), String(process.pid));

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

function giveUp(why: string): never {
  killContainer();
  criu.removeAllListeners('exit');
  criu.kill('SIGKILL');
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
