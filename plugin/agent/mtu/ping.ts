import { isIPv6 } from 'node:net';
import { RunError, run } from '../../../driver/host/run.ts';

/** A packet is sent again until this has passed without an answer, so that one that got lost proves nothing; s. */
const PATIENCE_S = 2;
const AGAIN_S = 0.4;
/** What ping's own size leaves out: ICMP's head of 8 bytes, and that of IPv4 or IPv6 without options. */
const HEADS = { 4: 28, 6: 48 } as const;

/**
 * Whether a packet of this size, IP's head included, gets to an address whole: an ICMP echo that nobody may fragment. Node's sockets
 * cannot forbid it. The kernel's memory of what the path carries is not believed either (`IP_PMTUDISC_PROBE`, ip(7)): it lasts for ten
 * minutes, and knows nothing of a hop that drops without a word. The answer may be fragmented, so this is about one direction.
 *
 * @throws RunError where ping cannot be run
 */
export async function carries(address: string, bytes: number): Promise<boolean> {
  const payload = bytes - HEADS[isIPv6(address) ? 6 : 4];
  try {
    await run(['ping', '-n', '-q', '-M', 'probe', '-c', '1', '-i', String(AGAIN_S), '-w', String(PATIENCE_S), '-s', String(payload), address], { timeout: 5_000 * PATIENCE_S });
    return true;
  } catch (error) {
    // 1: no answer, or too large for this host's own interface
    if (error instanceof RunError && error.exitCode === 1) return false;
    throw error;
  }
}

/**
 * The MTU of the interface by which packets for an address leave, bytes.
 *
 * @returns `undefined` where there is no route
 */
export async function interfaceMtu(address: string): Promise<number | undefined> {
  const route = await run(['ip', '-j', 'route', 'get', address], { okCodes: [0, 2] });
  const dev = route.code === 0 ? (JSON.parse(route.stdout) as { dev?: string }[])[0]?.dev : undefined;
  if (dev === undefined) return undefined;
  const { stdout } = await run(['ip', '-j', 'link', 'show', 'dev', dev]);
  return (JSON.parse(stdout) as { mtu?: number }[])[0]?.mtu;
}
