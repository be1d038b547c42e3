import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoatError } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import { until } from '../../../driver/host/until.ts';
import { healthy } from './gateway.ts';
import { peerSocket, peerUrl } from './members.ts';

/** How long a start may take, ms: replaying a large log from a slow disk takes its time. */
const READY_MS = 30_000;
/** etcd flushes and leaves within this, ms, or is killed: the whole agent has 10 s to end. */
const STOP_MS = 4_000;
const LONGEST_PAUSE_MS = 10_000;

export interface EtcdOptions {
  /** The host's name. */
  name: string;
  /** Directory of its data. */
  data: string;
  /** Directory of its sockets; nobody else may be able to enter it, since there is no password. */
  sockets: string;
  log: Log;
}

/** etcd's client socket. It insists on `host:port` as the name of a unix socket. */
export const clientSocket = (sockets: string): string => join(sockets, 'client:1');

/**
 * One member of etcd, kept running: started again, with growing pauses, whenever it ends.
 *
 * It listens on unix sockets only, so nothing reaches it over a network but through the agent's
 * authenticated connections, and no local user does either. The kernel kills it when this process
 * dies, however that happens (prctl(2) PR_SET_PDEATHSIG, through setpriv(1)), so the next agent never
 * finds its data locked; after a kill etcd replays its log, as it does after a power cut.
 */
export class EtcdChild {
  readonly #options: EtcdOptions;
  #child: ChildProcess | undefined;
  #stop = new AbortController();
  #running: Promise<void> | undefined;
  #joining: readonly string[] | undefined;

  constructor(options: EtcdOptions) {
    this.#options = options;
  }

  get socket(): string {
    return clientSocket(this.#options.sockets);
  }

  /**
   * Starts it and returns when it has a leader. When the first start fails it goes on trying in the background.
   *
   * @param joining the hosts whose members this one joins, itself included; needed only where it has no data yet. Without,
   * one that has no data is the first of a new etcd
   * @throws CoatError `etcd`
   */
  async start(joining?: readonly string[]): Promise<void> {
    this.#joining = joining;
    this.#stop = new AbortController();
    await mkdir(this.#options.data, { recursive: true, mode: 0o700 });
    await mkdir(this.#options.sockets, { recursive: true, mode: 0o700 });
    const first = this.#once();
    this.#running = this.#keep(first.ended);
    await first.ready;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    const child = this.#child;
    child?.kill('SIGTERM');
    const killer = setTimeout(() => child?.kill('SIGKILL'), STOP_MS);
    await this.#running;
    clearTimeout(killer);
  }

  async #keep(ended: Promise<void>): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#stop;
    let pause = 100;
    for (let last = ended, since = Date.now(); ; since = Date.now()) {
      await last;
      if (signal.aborted) return;
      // one that had been working for a minute did not die of its start
      pause = Date.now() - since > 60_000 ? 100 : Math.min(pause * 2, LONGEST_PAUSE_MS);
      log.error({ pause }, 'etcd has ended; it is started again');
      await sleep(pause, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      const next = this.#once();
      next.ready.then(() => log.info('etcd answers again'), (error: unknown) => log.error({ err: error }, 'etcd did not start'));
      last = next.ended;
    }
  }

  /** `ready` is the race of its first answer with its end. */
  #once(): { ready: Promise<void>; ended: Promise<void> } {
    const { sockets, log } = this.#options;
    // a killed etcd leaves them, and the next one refuses to listen there
    for (const name of ['client:1', peerSocket(this.#options.name)]) rmSync(join(sockets, name), { force: true });
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'etcd', ...etcdFlags(this.#options, this.#joining)], {
      cwd: sockets,
      stdio: ['ignore', 'ignore', 'pipe'],
      // etcd takes flags from ETCD_* variables too; it shall have ours only
      env: { PATH: process.env['PATH'] },
    });
    this.#child = child;
    const tail: string[] = [];
    createInterface(child.stderr).on('line', (line) => {
      tail.push(line);
      if (tail.length > 5) tail.shift();
      log.debug({ etcd: line }, 'etcd');
    });
    const stop = new AbortController();
    const exit = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(`could not be started: ${error.message}`));
      child.once('close', (code, signal) => resolve(`ended with ${signal ?? `code ${code}`}: ${tail.join(' | ')}`));
    });
    const failed = exit.then((why) => {
      stop.abort();
      throw new CoatError('etcd', `etcd ${why}`);
    });
    const answered = until('etcd', () => healthy(this.socket), { timeout: READY_MS, signal: stop.signal });
    const ready = Promise.race([answered.then(() => undefined), failed]);
    ready.catch(() => undefined);
    answered.catch(() => undefined);
    return { ready, ended: exit.then(() => undefined) };
  }
}

/**
 * Its peers are sockets in its directory, which the agent makes lead to their hosts (relays.ts). History is kept for an hour: a host
 * that was away longer lists anew. Of an etcd that has data already the part about the beginning is not looked at.
 */
function etcdFlags({ name, data }: EtcdOptions, joining: readonly string[] | undefined): string[] {
  return [
    '--name', name,
    '--data-dir', data,
    '--listen-client-urls', 'unix://client:1',
    '--advertise-client-urls', 'unix://client:1',
    '--listen-peer-urls', peerUrl(name),
    '--initial-advertise-peer-urls', peerUrl(name),
    '--initial-cluster', (joining ?? [name]).map((host) => `${host}=${peerUrl(host)}`).join(','),
    '--initial-cluster-state', joining === undefined ? 'new' : 'existing',
    '--heartbeat-interval', '100',
    '--election-timeout', '1000',
    '--auto-compaction-mode', 'periodic',
    '--auto-compaction-retention', '1h',
    '--logger', 'zap',
    '--log-level', 'warn',
  ];
}
