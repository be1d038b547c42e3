import { run } from '../../driver/host/run.ts';
import type { HostSide } from '../criu/host.ts';

/** Sockets of a container that CRIU has no image for, as a sentence goes on after "uses"; each kind once. */
export async function undumpableSockets(host: HostSide, pid: number): Promise<string[]> {
  // the plugin's own ss(8): a host may have none. A kernel that does not know the kind lists nothing
  const list = async (kind: string): Promise<string> =>
    run(['nsenter', `--net=${host.path(`/proc/${pid}/ns/net`)}`, '--', 'ss', kind, '--all', '--numeric', '--no-header']).then(({ stdout }) => stdout, () => '');
  const [mptcp, unix] = await Promise.all([list('--mptcp'), list('--unix')]);
  const outside = connectedOutside(unix);
  return [...(mptcp.trim() === '' ? [] : ['MPTCP']), ...(outside === undefined ? [] : [`a unix socket${outside} whose other end is outside of it`])];
}

/**
 * Looks for a connected unix socket whose other end is in no list of the same network namespace: each line of ss(8) ends in `local name, inode,
 * peer's name, inode`.
 *
 * @returns ` (path)` where it is known, or nothing
 */
export function connectedOutside(table: string): string | undefined {
  const sockets = table.split('\n').flatMap((line) => {
    const [, name, inode, peer] = /^\S+\s+\S+\s+\d+\s+\d+\s+(.*?)\s+(\d+)\s+\S+\s+(\d+)\s*$/.exec(line) ?? [];
    return inode === undefined || peer === undefined ? [] : [{ name: name!, inode, peer }];
  });
  const inside = new Set(sockets.map(({ inode }) => inode));
  const found = sockets.find(({ peer }) => peer !== '0' && !inside.has(peer));
  return found && (found.name.startsWith('/') ? ` (${found.name})` : '');
}
