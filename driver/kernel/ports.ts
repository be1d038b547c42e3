import { familyOf, type Family } from '../ipam/address.ts';
import { bridgeName, isBridge } from '../overlay/names.ts';
import type { Network } from '../overlay/records.ts';
import type { Mapping } from '../publish/plan.ts';
import { portKey } from '../publish/ports.ts';
import { list, type Kernel } from './kernel.ts';

/** What published ports need of the kernel besides their rules. */
export class Ports {
  readonly #kernel: Kernel;
  readonly #hostRoot: string;
  /** What was published after the last pass, by port and destination; `undefined` before the first. */
  #before: Map<string, Mapping> | undefined;
  /** Bridges that route 127.0.0.1. */
  #routing = new Set<string>();

  constructor(kernel: Kernel, hostRoot: string) {
    this.#kernel = kernel;
    this.#hostRoot = hostRoot;
  }

  /**
   * @param address this host's, on the underlay
   * @param made bridges that are new in this pass
   */
  async ensure(mappings: readonly Mapping[], networks: readonly Network[], address: string, made: ReadonlySet<string>): Promise<void> {
    await this.#route(mappings, networks, made);
    const before = this.#before;
    const now = new Map(mappings.map((mapping) => [`${portKey(mapping.port)} ${mapping.ip} ${mapping.port.port}`, mapping]));
    this.#before = now;
    if (before === undefined) return;
    for (const [key, mapping] of before) if (!now.has(key)) await this.#forget(mapping);
    for (const [key, { ip, port }] of now) if (!before.has(key) && port.proto === 'udp') await this.#refuse(familyOf(ip), port.hostPort, address);
  }

  /** Lets the host itself reach its ports by 127.0.0.1, which the kernel otherwise routes nowhere (ip-sysctl, route_localnet). */
  async #route(mappings: readonly Mapping[], networks: readonly Network[], made: ReadonlySet<string>): Promise<void> {
    const wanted = new Set(mappings.filter(({ ip }) => familyOf(ip) === 4).map(({ network }) => bridgeName(network.vni)));
    const first = this.#before === undefined;
    for (const bridge of networks.map(({ vni }) => bridgeName(vni))) {
      const [want, have] = [wanted.has(bridge), this.#routing.has(bridge) && !made.has(bridge)];
      // an earlier life may have left it on
      if (want === have && !first) continue;
      await this.#kernel.run(['tee', `${this.#hostRoot}/proc/sys/net/ipv4/conf/${bridge}/route_localnet`], { input: want ? '1' : '0' });
    }
    this.#routing = wanted;
  }

  /** Connections of a port that is taken back would otherwise go on to whoever has the container's address next, conntrack(8). */
  async #forget({ ip, port: { proto, port, hostPort } }: Mapping): Promise<void> {
    await this.#delete(familyOf(ip), ['--proto', proto, '--orig-port-dst', String(hostPort), '--reply-src', ip, '--reply-port-src', String(port)]);
  }

  /** A client that sends datagrams all the time has been remembered as one without a destination. */
  async #refuse(family: Family, hostPort: number, address: string): Promise<void> {
    const addresses = familyOf(address) === family ? [address] : await this.#addresses(family);
    for (const own of addresses) await this.#delete(family, ['--proto', 'udp', '--orig-dst', own, '--orig-port-dst', String(hostPort)]);
  }

  /** Those by which this host is reached from elsewhere, where the underlay is of the other family. */
  async #addresses(family: Family): Promise<string[]> {
    const links = await list<{ ifname: string; addr_info?: { local?: string }[] }>(this.#kernel, ['ip', '-j', `-${family}`, 'address', 'show', 'scope', 'global']);
    return links.filter(({ ifname }) => !isBridge(ifname)).flatMap(({ addr_info: all = [] }) => all.flatMap(({ local }) => local ?? []));
  }

  async #delete(family: Family, filter: string[]): Promise<void> {
    // 1: there was none
    await this.#kernel.run(['conntrack', '--delete', '--family', `ipv${family}`, ...filter], { okCodes: [0, 1] });
  }
}
