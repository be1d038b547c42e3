import { EVERYONE, forwardKey, neighbourKey, tunnelKey, type Forward, type Neighbour, type Tunnel } from '../overlay/state.ts';
import { isBridge, isPort, isVxlan } from '../overlay/names.ts';
import { list, type Kernel } from './kernel.ts';

/** One line of `bridge -j fdb show`, bridge(8). */
interface FdbLine {
  mac: string;
  ifname: string;
  dst?: string;
  master?: string;
  flags: string[];
  state?: string;
}

/** One line of `ip -j neighbour show`, ip-neighbour(8). */
interface NeighbourLine {
  dst: string;
  dev: string;
  lladdr?: string;
  state: string[];
}

/** The forwarding entries of our devices, but not those the kernel makes for the devices' own MACs. */
export async function listFdb(kernel: Kernel): Promise<{ tunnels: Map<string, Tunnel>; forwards: Map<string, Forward> }> {
  return readFdb(await list<FdbLine>(kernel, ['bridge', '-j', 'fdb', 'show']));
}

export function readFdb(lines: readonly FdbLine[]): { tunnels: Map<string, Tunnel>; forwards: Map<string, Forward> } {
  const tunnels = new Map<string, Tunnel>();
  const forwards = new Map<string, Forward>();
  for (const { mac, ifname: dev, dst, master, flags, state } of lines) {
    if (flags.includes('self') && dst !== undefined && isVxlan(dev)) {
      const entry = { dev, mac, dst };
      tunnels.set(tunnelKey(entry), entry);
    } else if (master !== undefined && isBridge(master) && state === 'static' && (isVxlan(dev) || isPort(dev))) {
      const entry = { bridge: master, mac, dev };
      forwards.set(forwardKey(entry), entry);
    }
  }
  return { tunnels, forwards };
}

/** The permanent neighbours on our bridges; what the kernel found out by itself is its own business. */
export async function listNeighbours(kernel: Kernel): Promise<Map<string, Neighbour>> {
  const neighbours = new Map<string, Neighbour>();
  for (const { dst: ip, dev, lladdr, state } of await list<NeighbourLine>(kernel, ['ip', '-j', 'neighbour', 'show', 'nud', 'permanent'])) {
    if (!isBridge(dev) || !state.includes('PERMANENT')) continue;
    const entry = { dev, ip, mac: lladdr ?? '' };
    neighbours.set(neighbourKey(entry), entry);
  }
  return neighbours;
}

/** `bridge` command. `replace` moves a MAC to another host; flooding goes to all, so there it is `append`. */
export const ensureTunnel = ({ dev, mac, dst }: Tunnel): string =>
  `fdb ${mac === EVERYONE ? 'append' : 'replace'} ${mac} dev ${dev} dst ${dst} self permanent`;
export const removeTunnel = ({ dev, mac, dst }: Tunnel): string => `fdb del ${mac} dev ${dev} dst ${dst} self`;

/** `bridge` command; an entry that pointed to another port of the bridge moves. */
export const ensureForward = ({ mac, dev }: Forward): string => `fdb replace ${mac} dev ${dev} master static`;
export const removeForward = ({ mac, dev }: Forward): string => `fdb del ${mac} dev ${dev} master`;

/** `ip` command. `extern_learn` tells other programs that somebody else looks after the entry. */
export const ensureNeighbour = ({ dev, ip, mac }: Neighbour): string => `neighbour replace ${ip} lladdr ${mac} dev ${dev} nud permanent extern_learn`;
export const removeNeighbour = ({ dev, ip }: Neighbour): string => `neighbour del ${ip} dev ${dev}`;
