import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoatError } from '../../driver/host/errors.ts';
import type { RunningContainer } from '../criu/container.ts';
import { freeze, thaw } from '../criu/freezer.ts';
import type { HostSide } from '../criu/host.ts';

/** For how long a program may take to accept the connections that wait for it, ms, and how long it is given each time. */
const ACCEPT_MS = 3_000;
const BREATH_MS = 20;
/** For how long it may take to read the datagrams that have come, ms. A socket that nobody reads is no reason to stay. */
const READ_MS = 200;

/**
 * Freezes a container at a moment at which no connection waits to be accepted: CRIU has no image for one (criu/sk-inet.c,
 * can_dump_inet_sk), and to leave it out would be to lose it, as its peer has been told that it stands. Datagrams that were not read are left
 * out as well ("Read queue is dropped", there); no more come here by now, so a moment later they have been.
 *
 * @throws CoatError `connection-waits` where its program does not accept them. It is frozen then
 */
export async function freezeInOrder(host: HostSide, container: RunningContainer): Promise<void> {
  for (const began = performance.now(); ; await sleep(BREATH_MS)) {
    await freeze(host, container);
    const [port, unread] = await Promise.all([portWithWaiting(host, container.pid), datagramsWait(host, container.pid)]);
    const passed = performance.now() - began;
    if (port === undefined && (!unread || passed > READ_MS)) return;
    if (port !== undefined && passed > ACCEPT_MS) {
      throw new CoatError('connection-waits', `a connection to port ${port} waits to be accepted, and the program did not accept it within ${ACCEPT_MS / 1000} s`, {
        hint: 'a connection can move once the program has accepted it; try again when it has',
      });
    }
    await thaw(host, container);
  }
}

async function portWithWaiting(host: HostSide, pid: number): Promise<number | undefined> {
  return (await tables(host, pid, 'tcp')).map(waiting).find((port) => port !== undefined);
}

async function datagramsWait(host: HostSide, pid: number): Promise<boolean> {
  return (await tables(host, pid, 'udp')).some(unread);
}

const tables = (host: HostSide, pid: number, kind: 'tcp' | 'udp'): Promise<string[]> =>
  Promise.all([kind, `${kind}6`].map((name) => readFile(host.path(`/proc/${pid}/net/${name}`), 'utf8').catch(() => '')));

/** Whether a socket of /proc/net/udp (proc_pid_net(5)) has something to read: its rx_queue, in bytes. */
export function unread(table: string): boolean {
  return table.split('\n').slice(1).some((line) => Number.parseInt(line.trim().split(/\s+/)[4]?.split(':')[1] ?? '0', 16) > 0);
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
