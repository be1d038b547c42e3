import { readdir, readlink } from 'node:fs/promises';
import { run } from '../../driver/host/run.ts';
import type { HostSide } from '../criu/host.ts';

/** Sockets of a container that CRIU has no image for, as a sentence goes on after "uses"; each kind once. */
export async function undumpableSockets(host: HostSide, pid: number, pids: readonly number[]): Promise<string[]> {
  // the plugin's own ss(8): a host may have none. A kernel that does not know the kind lists nothing
  const list = async (kind: string): Promise<string> =>
    run(['nsenter', `--net=${host.path(`/proc/${pid}/ns/net`)}`, '--', 'ss', kind, '--all', '--numeric', '--no-header']).then(({ stdout }) => stdout, () => '');
  const [mptcp, unix] = await Promise.all([list('--mptcp'), list('--unix')]);
  const outside = connectedOutside(unix, await heldSockets(host, pids));
  return [...(mptcp.trim() === '' ? [] : ['MPTCP']), ...(outside === undefined ? [] : [`a unix socket${outside} whose other end is outside of it`])];
}

/** Inodes of the sockets that processes hold. */
async function heldSockets(host: HostSide, pids: readonly number[]): Promise<Set<string>> {
  const of = async (pid: number): Promise<string[]> => {
    const directory = host.path(`/proc/${pid}/fd`);
    const links = (await readdir(directory).catch(() => [])).map((fd) => readlink(`${directory}/${fd}`).catch(() => ''));
    return (await Promise.all(links)).flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []);
  };
  return new Set((await Promise.all(pids.map(of))).flat());
}

/**
 * Looks for a unix socket of the container that is connected to one that it has not: each line of ss(8) ends in `local name, inode, peer's
 * name, inode`. That both are listed says nothing, as the end that a server accepts belongs to the network namespace of its client
 * (net/unix/af_unix.c, unix_stream_connect).
 *
 * @param held inodes of the sockets that its processes have
 * @returns ` (path)` where it is known, or nothing
 */
export function connectedOutside(table: string, held: ReadonlySet<string>): string | undefined {
  const sockets = table.split('\n').flatMap((line) => {
    const [, name, inode, peer] = /^\S+\s+\S+\s+\d+\s+\d+\s+(.*?)\s+(\d+)\s+\S+\s+(\d+)\s*$/.exec(line) ?? [];
    return inode === undefined || peer === undefined ? [] : [{ name: name!, inode, peer }];
  });
  // one that waits to be accepted has no inode yet
  const found = sockets.find(({ inode, peer }) => held.has(inode) && peer !== '0' && !held.has(peer));
  return found && (found.name.startsWith('/') ? ` (${found.name})` : '');
}
