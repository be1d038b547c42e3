import type { Operation } from '../overlay/diff.ts';
import type { State } from '../overlay/state.ts';
import { ensureBridge, listBridges } from './bridge.ts';
import { ensureForward, ensureNeighbour, ensureTunnel, listFdb, listNeighbours, removeForward, removeNeighbour, removeTunnel } from './entries.ts';
import { batch, type Kernel } from './kernel.ts';
import { areSwift } from './netlink.ts';
import { listLinks, removeLink } from './links.ts';
import { ensurePort, listPorts } from './port.ts';
import { ensureVxlan, listVxlans } from './vxlan.ts';

/** What the kernel holds for us now. */
export async function observe(kernel: Kernel): Promise<State> {
  const [links, fdb, neighbours] = await Promise.all([listLinks(kernel), listFdb(kernel), listNeighbours(kernel)]);
  const byName = <T extends { name: string }>(values: T[]): Map<string, T> => new Map(values.map((value) => [value.name, value]));
  return { bridges: byName(listBridges(links)), vxlans: byName(listVxlans(links)), ports: byName(listPorts(links)), ...fdb, neighbours };
}

/** Commands in the order they must run: interfaces, what depends on them, removals (slow: 16 ms for a veth) last. */
export interface Commands {
  ip: string[];
  bridge: string[];
  unlink: string[];
}

type Executors = { [K in Operation['do']]: (operation: Extract<Operation, { do: K }>, to: Commands) => void };

/** How each operation is said to iproute2. An operation without an executor does not compile. */
const executors: Executors = {
  bridge: ({ want, have }, to) => void to.ip.push(...ensureBridge(want, have)),
  vxlan: ({ want, have }, to) => spread(ensureVxlan(want, have), to),
  port: ({ want, have }, to) => spread(ensurePort(want, have), to),
  unlink: ({ name }, to) => void to.unlink.push(...removeLink(name)),
  tunnel: ({ entry }, to) => void to.bridge.push(ensureTunnel(entry)),
  untunnel: ({ entry }, to) => void to.bridge.push(removeTunnel(entry)),
  forward: ({ entry }, to) => void to.bridge.push(ensureForward(entry)),
  unforward: ({ entry }, to) => void to.bridge.push(removeForward(entry)),
  neighbour: ({ entry }, to) => void to.ip.push(ensureNeighbour(entry)),
  unneighbour: ({ entry }, to) => void to.ip.push(removeNeighbour(entry)),
};

export function commands(operations: readonly Operation[]): Commands {
  const to: Commands = { ip: [], bridge: [], unlink: [] };
  for (const operation of operations) (executors[operation.do] as (operation: Operation, to: Commands) => void)(operation, to);
  return to;
}

/** @throws RunError when a command failed; the others have run */
export async function apply(kernel: Kernel, operations: readonly Operation[]): Promise<void> {
  if (operations.length > 0 && kernel.netlink && areSwift(operations)) {
    try {
      return await kernel.netlink.apply(operations);
    } catch {
      // the programs try all of it, and say better what is wrong
    }
  }
  const { ip, bridge, unlink } = commands(operations);
  const failures: unknown[] = [];
  for (const [program, lines] of [['ip', ip], ['bridge', bridge], ['ip', unlink]] as const) {
    await batch(kernel, program, lines).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}

function spread(lines: { ip: string[]; bridge: string[] }, to: Commands): void {
  to.ip.push(...lines.ip);
  to.bridge.push(...lines.bridge);
}
