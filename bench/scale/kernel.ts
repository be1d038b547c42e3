import type { Kernel } from '../../driver/kernel/kernel.ts';
import type { Operation } from '../../driver/overlay/diff.ts';
import { isBridge, isPort, isVxlan } from '../../driver/overlay/names.ts';
import { emptyState, EVERYONE, forwardKey, neighbourKey, tunnelKey, type Bridge, type Port, type State, type Vxlan } from '../../driver/overlay/state.ts';
import type { RunOptions, RunResult } from '../../driver/host/run.ts';

/** Words of a command after their names: `dev cx0 master` → `{ dev: 'cx0' }` for `dev`. */
const after = (words: readonly string[], name: string): string | undefined => (words.includes(name) ? words[words.indexOf(name) + 1] : undefined);

/**
 * A kernel that does in memory what it is told in the words of iproute2, and lists it as iproute2 does, so that the agent reads
 * and compares as much as it would of a real one. Nothing is measured of what a real kernel and the programs take.
 */
export class RecordingKernel implements Kernel {
  readonly netns = '/proc/self/ns/net';
  readonly state: State = emptyState();
  readonly netlink = {
    open: async (): Promise<void> => undefined,
    close: (): void => undefined,
    openHold: async (): Promise<void> => undefined,
    exists: async (name: string): Promise<boolean> => this.#has(name),
    createVeth: async ({ port: name, mtu }: { port: string; mtu: number }): Promise<void> => void this.state.ports.set(name, { name, master: undefined, mtu, up: false, learning: true, state: 'forwarding' }),
    apply: async (operations: readonly Operation[]): Promise<void> => operations.forEach((operation) => this.#operate(operation)),
  };
  readonly #tables = new Map<string, string>();

  /** What an earlier life of the agent has left: its interfaces. */
  constructor(left: { bridges: Bridge[]; vxlans: Vxlan[]; ports: Port[] } = { bridges: [], vxlans: [], ports: [] }) {
    for (const bridge of left.bridges) this.state.bridges.set(bridge.name, bridge);
    for (const vxlan of left.vxlans) this.state.vxlans.set(vxlan.name, vxlan);
    for (const port of left.ports) this.state.ports.set(port.name, port);
  }

  /** For the constructor of the next. */
  left(): { bridges: Bridge[]; vxlans: Vxlan[]; ports: Port[] } {
    const { bridges, vxlans, ports } = this.state;
    return { bridges: [...bridges.values()], vxlans: [...vxlans.values()], ports: [...ports.values()] };
  }

  async run(argv: readonly [string, ...string[]], options: RunOptions = {}): Promise<RunResult> {
    const line = argv.join(' ');
    const answer = (stdout = '', code = 0): RunResult => ({ stdout, stderr: '', code });
    const input = typeof options.input === 'string' ? options.input : '';
    if (argv.includes('-batch')) input.split('\n').filter(Boolean).forEach((each) => this.#command(argv[0], each.split(' ')));
    else if (line === 'nft -f -') this.#tables.set('coat', input);
    else if (line.startsWith('nft list')) return answer(this.#tables.get('coat') ?? '', this.#tables.has('coat') ? 0 : 1);
    else if (line.startsWith('cat /proc/sys/net/ipv4/ip_forward')) return answer('1\n');
    else if (argv.includes('-j')) return answer(this.#list(argv));
    else if (line.startsWith('ip link show dev')) return answer('', this.#has(argv.at(-1)!) ? 0 : 1);
    else if (argv[0] === 'ip') this.#command('ip', argv.slice(1));
    return answer();
  }

  #has(name: string): boolean {
    return this.state.ports.has(name) || this.state.bridges.has(name) || this.state.vxlans.has(name);
  }

  #list(argv: readonly string[]): string {
    const { bridges, vxlans, ports, tunnels, forwards, neighbours } = this.state;
    if (argv.includes('fdb')) {
      return JSON.stringify([
        ...[...tunnels.values()].map(({ dev: ifname, mac, dst }) => ({ mac, ifname, dst, flags: ['self'], state: 'permanent' })),
        ...[...forwards.values()].map(({ bridge: master, mac, dev: ifname }) => ({ mac, ifname, flags: [], master, state: 'static' })),
      ]);
    }
    if (argv.includes('neighbour')) return JSON.stringify([...neighbours.values()].map(({ dev, ip: dst, mac: lladdr }) => ({ dst, dev, lladdr, state: ['PERMANENT'] })));
    if (!argv.includes('address')) return '';
    const flags = (up: boolean): string[] => (up ? ['UP', 'LOWER_UP'] : []);
    return JSON.stringify([
      ...[...bridges.values()].map(({ name, mac, mtu, address, up }) => {
        const [local, prefixlen] = address?.split('/') ?? [];
        return { ifname: name, address: mac, mtu, flags: flags(up), linkinfo: { info_kind: 'bridge' }, addr_info: address ? [{ family: 'inet', local, prefixlen: Number(prefixlen), scope: 'global' }] : [] };
      }),
      ...[...vxlans.values()].map(({ name, master, mtu, up, vni: id, port, local, learning, suppress }) => ({
        ifname: name, master, mtu, flags: flags(up), linkinfo: { info_kind: 'vxlan', info_data: { id, port, local, learning }, info_slave_data: { neigh_suppress: suppress } },
      })),
      ...[...ports.values()].map(({ name, master, mtu, up, learning, state }) => ({ ifname: name, master, mtu, flags: flags(up), linkinfo: { info_kind: 'veth', info_slave_data: { learning, state } } })),
    ]);
  }

  /** One operation by netlink. */
  #operate(operation: Operation): void {
    const { tunnels, forwards, neighbours, ports } = this.state;
    if (operation.do === 'tunnel') tunnels.set(tunnelKey(operation.entry), operation.entry);
    else if (operation.do === 'untunnel') tunnels.delete(tunnelKey(operation.entry));
    else if (operation.do === 'forward') forwards.set(forwardKey(operation.entry), operation.entry);
    else if (operation.do === 'unforward') forwards.delete(forwardKey(operation.entry));
    else if (operation.do === 'neighbour') neighbours.set(neighbourKey(operation.entry), operation.entry);
    else if (operation.do === 'unneighbour') neighbours.delete(neighbourKey(operation.entry));
    else if (operation.do === 'port') ports.set(operation.want.name, operation.want);
  }

  /** One command of ip(8) or bridge(8). */
  #command(program: string, words: readonly string[]): void {
    const [object, verb] = words;
    if (object === 'link' && verb === 'add') this.#addLink(words);
    else if (object === 'link' && verb === 'set') this.#setLink(program, words);
    else if (object === 'link' && verb === 'del') this.#removeLink(after(words, 'dev')!);
    else if (object === 'address') this.#setAddress(verb === 'add', words);
    else if (object === 'fdb') this.#entry(words);
    else if (object === 'neighbour') {
      const entry = { dev: after(words, 'dev')!, ip: words[2]!, mac: after(words, 'lladdr') ?? '' };
      this.#operate({ do: verb === 'replace' ? 'neighbour' : 'unneighbour', entry, why: '' });
    }
  }

  #entry(words: readonly string[]): void {
    const [, verb, mac] = words as [string, string, string];
    const dev = after(words, 'dev')!;
    const has = verb !== 'del';
    if (words.includes('self')) this.#operate({ do: has ? 'tunnel' : 'untunnel', entry: { dev, mac, dst: after(words, 'dst')! }, why: '' });
    else {
      const bridge = (this.state.vxlans.get(dev) ?? this.state.ports.get(dev))?.master ?? '';
      this.#operate({ do: has ? 'forward' : 'unforward', entry: { bridge, mac, dev }, why: '' });
    }
  }

  #addLink(words: readonly string[]): void {
    const name = after(words, 'dev') ?? after(words, 'name')!;
    const mtu = Number(after(words, 'mtu'));
    if (isBridge(name)) this.state.bridges.set(name, { name, mac: after(words, 'address')!, mtu, address: undefined, address6: undefined, up: false });
    else if (isVxlan(name)) {
      const [vni, port, local] = [Number(after(words, 'id')), Number(after(words, 'dstport')), after(words, 'local')!];
      this.state.vxlans.set(name, { name, master: undefined, vni, port, local, mtu, up: false, learning: false, suppress: false });
    } else if (isPort(name)) this.state.ports.set(name, { name, master: undefined, mtu, up: false, learning: true, state: 'forwarding' });
  }

  #setLink(program: string, words: readonly string[]): void {
    const name = after(words, 'dev')!;
    const link = this.state.ports.get(name) ?? this.state.vxlans.get(name) ?? this.state.bridges.get(name);
    if (!link) return;
    if (words.includes('up')) link.up = true;
    if (words.includes('mtu')) link.mtu = Number(after(words, 'mtu'));
    if (words.includes('master') && 'master' in link) link.master = after(words, 'master');
    if (program !== 'bridge' || !('learning' in link)) return;
    if (after(words, 'learning') === 'off') link.learning = false;
    if ('suppress' in link && after(words, 'neigh_suppress') === 'on') link.suppress = true;
    if ('state' in link && words.includes('state')) link.state = after(words, 'state') === '0' ? 'disabled' : 'forwarding';
  }

  #setAddress(has: boolean, words: readonly string[]): void {
    const bridge = this.state.bridges.get(after(words, 'dev')!);
    if (bridge) bridge.address = has ? words[2] : undefined;
  }

  #removeLink(name: string): void {
    const { bridges, vxlans, ports, tunnels, forwards, neighbours } = this.state;
    for (const links of [bridges, vxlans, ports]) links.delete(name);
    for (const [key, entry] of tunnels) if (entry.dev === name) tunnels.delete(key);
    for (const [key, entry] of forwards) if (entry.dev === name || entry.bridge === name) forwards.delete(key);
    for (const [key, entry] of neighbours) if (entry.dev === name) neighbours.delete(key);
  }
}

/** How many of the entries of a kernel are about endpoints, and not where to flood. */
export const entriesOf = ({ tunnels, forwards, neighbours }: State): number => [...tunnels.values()].filter(({ mac }) => mac !== EVERYONE).length + forwards.size + neighbours.size;
