import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoatError } from '../../driver/host/errors.ts';
import type { RunningContainer } from '../criu/container.ts';
import { freeze, thaw } from '../criu/freezer.ts';
import type { HostSide } from '../criu/host.ts';

/** For how long a program may take to accept the connections that wait for it, ms, and how long it is given each time. */
const ACCEPT_MS = 3_000;
const BREATH_MS = 20;

/**
 * Freezes a container at a moment at which no connection waits to be accepted: CRIU has no image for one (criu/sk-inet.c,
 * can_dump_inet_sk), and to leave it out would be to lose it, as its peer has been told that it stands.
 *
 * @throws CoatError `connection-waits` where its program does not accept them. It is frozen then
 */
export async function freezeInOrder(host: HostSide, container: RunningContainer): Promise<void> {
  for (const began = performance.now(); ; await sleep(BREATH_MS)) {
    await freeze(host, container);
    const port = await portWithWaiting(host, container.pid);
    if (port === undefined) return;
    if (performance.now() - began > ACCEPT_MS) {
      throw new CoatError('connection-waits', `a connection to port ${port} waits to be accepted, and the program did not accept it within ${ACCEPT_MS / 1000} s`, {
        hint: 'a connection can move once the program has accepted it; try again when it has',
      });
    }
    await thaw(host, container);
  }
}

async function portWithWaiting(host: HostSide, pid: number): Promise<number | undefined> {
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(host.path(`/proc/${pid}/net/${name}`), 'utf8').catch(() => '')));
  return tables.map(waiting).find((port) => port !== undefined);
}

/**
 * A listening port of /proc/net/tcp (proc_pid_net(5)) with connections that were not accepted: of a listening socket (state 0A), rx_queue is their
 * number (net/ipv4/tcp_ipv4.c, get_tcp4_sock).
 */
export function waiting(table: string): number | undefined {
  for (const line of table.split('\n').slice(1)) {
    const [, local, , state, queues] = line.trim().split(/\s+/);
    if (state === '0A' && Number.parseInt(queues?.split(':')[1] ?? '0', 16) > 0) return Number.parseInt(local!.split(':').at(-1)!, 16);
  }
  return undefined;
}
