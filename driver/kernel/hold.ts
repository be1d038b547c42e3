import { until } from '../host/until.ts';
import { batch, list, type Kernel } from './kernel.ts';
import { PACED, WIDE } from './pace.ts';

/**
 * The hold: frames towards a container wait in a token bucket, tc-tbf(8), instead of reaching it.
 *
 * A bucket is no gate: it starts full, and fills again with time. So every frame is billed with
 * {@link OVERHEAD} bytes more than it has, at one byte a second, from a bucket that holds that
 * overhead and one frame: a single frame of any size empties it for 18 hours. That frame is ours,
 * sent before the port is connected to anything.
 *
 * `plug` would be the tool for this (linux/pkt_sched.h), but many kernels are built without it and
 * tc(8) cannot speak to it.
 */
const OVERHEAD = 65_000;

/** Bytes that can wait. At 100 Mbit/s a third of a second's worth. */
const LIMIT = '4mb';

/** TEST-NET-1, RFC 5737: nobody has this address, so an ARP request for it disturbs nobody. */
const NOBODY = '192.0.2.1';

const ETHERNET_HEADER = 14;

interface Qdisc {
  kind: string;
  root?: boolean;
  packets: number;
  backlog: number;
}

/**
 * Closes the hold on a port that is up on both ends and not yet in its bridge.
 *
 * @throws CoatError `timeout` when the bucket cannot be emptied
 */
export async function closeHold(kernel: Kernel, port: string, mtu: number): Promise<void> {
  await kernel.run(['tc', 'qdisc', 'replace', 'dev', port, 'root', 'tbf', 'rate', '8bit', 'burst', String(mtu + ETHERNET_HEADER), 'limit', LIMIT, 'overhead', String(OVERHEAD)]);
  await sendFrame(kernel, port);
  await until(`the hold on ${port} to close`, async () => ((await queueOf(kernel, port))?.packets ?? 0) > 0, { timeout: 3_000 });
}

/**
 * Lets the held frames go, in order. Changing the rate wakes nobody up: a frame of ours behind the
 * waiting ones does. Where they are handed on by one processor (netns.ts, receiveByOne) they also arrive in order.
 */
export async function openHold(kernel: Kernel, port: string): Promise<void> {
  try {
    if (kernel.netlink) return await kernel.netlink.openHold(port, NOBODY);
  } catch {
    // tc(8) says better what is wrong
  }
  await setPace(kernel, port, PACED);
  await sendFrame(kernel, port);
}

/** Once the held frames are gone. A port that is gone is fine. */
export async function widenHold(kernel: Kernel, port: string): Promise<void> {
  await setPace(kernel, port, WIDE, [0, 1, 2]);
}

async function setPace(kernel: Kernel, port: string, { rate, burst, overhead }: typeof PACED, okCodes = [0]): Promise<void> {
  await kernel.run(['tc', 'qdisc', 'change', 'dev', port, 'root', 'tbf', 'rate', `${rate * 8}bit`, 'burst', String(burst), 'limit', LIMIT, 'overhead', String(overhead)], { okCodes });
}

/** The hold on a port, or undefined, also where there is no such port any more. */
export async function queueOf(kernel: Kernel, port: string): Promise<Qdisc | undefined> {
  const queues = await list<Qdisc>(kernel, ['tc', '-s', '-j', 'qdisc', 'show', 'dev', port], [0, 1]);
  return queues.find(({ kind, root }) => kind === 'tbf' && root === true);
}

/** Makes the kernel send one ARP request out of a port (`use`, ip-neighbour(8)) and forget about it. */
async function sendFrame(kernel: Kernel, port: string): Promise<void> {
  await batch(kernel, 'ip', [`neighbour replace ${NOBODY} dev ${port} use`, `neighbour del ${NOBODY} dev ${port}`]);
}
