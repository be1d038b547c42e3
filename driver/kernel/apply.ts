import type { Operation } from '../overlay/diff.ts';
import type { State } from '../overlay/state.ts';
import { ensureAddress6, ensureBridge, listBridges } from './bridge.ts';
import { ensureForward, ensureNeighbour, ensureTunnel, listFdb, listNeighbours, removeForward, removeNeighbour, removeTunnel } from './entries.ts';
import { enableIpv6 } from './forwarding.ts';
import { batch, type Kernel } from './kernel.ts';
import { areSwift } from './netlink.ts';
import { listLinks, removeLink } from './links.ts';
import { ensureRoute, listRoutes, removeRoute } from './route.ts';
import { ensurePort, listPorts } from './port.ts';
import { ensureVxlan, listVxlans } from './vxlan.ts';

/** What the kernel holds for us now. */
export async function observe(kernel: Kernel): Promise<State> {
  const [links, fdb, neighbours, routes] = await Promise.all([listLinks(kernel), listFdb(kernel), listNeighbours(kernel), listRoutes(kernel)]);
  const byName = <T extends { name: string }>(values: T[]): Map<string, T> => new Map(values.map((value) => [value.name, value]));
  return { bridges: byName(listBridges(links)), vxlans: byName(listVxlans(links)), ports: byName(listPorts(links)), ...fdb, neighbours, routes };
}

/** Commands in the order they must run: interfaces, what depends on them, removals (slow: 16 ms for a veth) last. */
export interface Commands {
  ip: string[];
  /** Bridges on which IPv6 has to be on, and what needs it there. */
  ipv6: string[];
  address6: string[];
  bridge: string[];
  unlink: string[];
}

type Executors = { [K in Operation['do']]: (operation: Extract<Operation, { do: K }>, to: Commands) => void };

/** How each operation is said to iproute2. An operation without an executor does not compile. */
const executors: Executors = {
  bridge: ({ want, have }, to) => {
    to.ip.push(...ensureBridge(want, have));
    if (want.address6 !== undefined) to.ipv6.push(want.name);
    to.address6.push(...ensureAddress6(want, have));
  },
  vxlan: ({ want, have }, to) => spread(ensureVxlan(want, have), to),
  port: ({ want, have }, to) => spread(ensurePort(want, have), to),
  unlink: ({ name }, to) => void to.unlink.push(...removeLink(name)),
  tunnel: ({ entry }, to) => void to.bridge.push(ensureTunnel(entry)),
  untunnel: ({ entry }, to) => void to.bridge.push(removeTunnel(entry)),
  forward: ({ entry }, to) => void to.bridge.push(ensureForward(entry)),
  unforward: ({ entry }, to) => void to.bridge.push(removeForward(entry)),
  neighbour: ({ entry }, to) => void to.ip.push(ensureNeighbour(entry)),
  unneighbour: ({ entry }, to) => void to.ip.push(removeNeighbour(entry)),
  route: ({ entry }, to) => void to.ip.push(ensureRoute(entry)),
  unroute: ({ entry }, to) => void to.ip.push(removeRoute(entry)),
};

export function commands(operations: readonly Operation[]): Commands {
  const to: Commands = { ip: [], ipv6: [], address6: [], bridge: [], unlink: [] };
  for (const operation of operations) (executors[operation.do] as (operation: Operation, to: Commands) => void)(operation, to);
  return to;
}

/**
 * @param hostRoot the host's root directory as we see it
 * @throws RunError when a command failed; the others have run
 */
export async function apply(kernel: Kernel, operations: readonly Operation[], hostRoot: string): Promise<void> {
  if (operations.length > 0 && kernel.netlink && areSwift(operations)) {
    try {
      return await kernel.netlink.apply(operations);
    } catch {
      // the programs try all of it, and say better what is wrong
    }
  }
  const { ip, ipv6, address6, bridge, unlink } = commands(operations);
  const failures: unknown[] = [];
  const tried = (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => failures.push(error));
  await tried(batch(kernel, 'ip', ip));
  for (const name of ipv6) await tried(enableIpv6(kernel, hostRoot, name));
  for (const [program, lines] of [['ip', address6], ['bridge', bridge], ['ip', unlink]] as const) await tried(batch(kernel, program, lines));
  if (failures.length > 0) throw failures[0];
}

function spread(lines: { ip: string[]; bridge: string[] }, to: Commands): void {
  to.ip.push(...lines.ip);
  to.bridge.push(...lines.bridge);
}
