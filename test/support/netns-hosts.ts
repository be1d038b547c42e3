import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDriver, type Driver } from '../../driver/driver.ts';
import { silent, type Log } from '../../driver/host/log.ts';
import type { Store } from '../../driver/store/store.ts';
import { TestEngine } from './caller.ts';
import { Netns } from './netns.ts';
import { Undo } from './undo.ts';

export interface TestHost {
  name: string;
  address: string;
  netns: Netns;
  driver: Driver;
  stateDir: string;
  engine: TestEngine;
  /** Ends the driver and begins a new one on the same state and kernel, as a plugin's restart does. */
  restart(): Promise<void>;
}

/** Hosts that are only network namespaces, on one Ethernet, each with a driver of its own. */
export class TestHosts implements AsyncDisposable {
  readonly hosts: TestHost[] = [];
  readonly #stack = new Undo();

  /** @param ipv6 whether the hosts reach each other by IPv6 */
  static async create(store: Store, names: string[], { log = silent, auditEvery = 600_000, ipv6 = false }: { log?: Log; auditEvery?: number; ipv6?: boolean } = {}): Promise<TestHosts> {
    const all = new TestHosts();
    try {
      const ether = all.#stack.use(await Netns.create('ether'));
      await ether.run('ip', 'link', 'add', 'br0', 'type', 'bridge', 'forward_delay', '0');
      await ether.run('ip', 'link', 'set', 'br0', 'up');
      for (const [index, name] of names.entries()) {
        const [address, length] = ipv6 ? [`fd00:30::${index + 1}`, 64] : [`172.30.0.${index + 1}`, 24];
        const netns = all.#stack.use(await Netns.create(name));
        await ether.run('ip', 'link', 'add', `p${index}`, 'master', 'br0', 'type', 'veth', 'peer', 'name', 'up0', 'netns', netns.path);
        await ether.run('ip', 'link', 'set', `p${index}`, 'up');
        await netns.run('ip', 'address', 'add', `${address}/${length}`, 'dev', 'up0', ...(ipv6 ? ['nodad'] : []));
        await netns.run('ip', 'link', 'set', 'up0', 'up');
        const stateDir = await mkdtemp(join(tmpdir(), `coat-t-${name}-`));
        all.#stack.defer(() => rm(stateDir, { recursive: true, force: true }));
        await store.put(`hosts/${name}`, { name, address }, 'any');
        const make = (): Promise<Driver> => createDriver({ host: name, address, store, stateDir, hostRoot: '', log, kernel: netns.kernel, auditEvery });
        const host: TestHost = {
          name, address, netns, stateDir,
          driver: await make(),
          engine: undefined as unknown as TestEngine,
          restart: async () => {
            await host.driver.stop();
            host.driver = await make();
            await host.driver.start();
          },
        };
        host.engine = new TestEngine(host, all.#stack);
        await host.driver.start();
        all.#stack.defer(() => host.driver.stop());
        all.hosts.push(host);
      }
      return all;
    } catch (error) {
      await all[Symbol.asyncDispose]();
      throw error;
    }
  }

  async settled(revision: number): Promise<void> {
    await Promise.all(this.hosts.map(({ driver }) => driver.settled(revision)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.dispose();
  }
}

/** Interfaces of ours on a host, and tables of rules; but for the one that keeps others from its tunnels while it has no network. */
export async function traces({ netns }: TestHost): Promise<string[]> {
  const links = (JSON.parse(await netns.run('ip', '-j', 'link')) as { ifname: string }[]).map(({ ifname }) => ifname).filter((name) => /^c[bxvi]/.test(name));
  const rules = await netns.run('nft', '--stateless', 'list', 'ruleset');
  const tables = rules.split(/^table /m).slice(1).filter((table) => !table.startsWith('inet coat {') || table.includes('chain postrouting'));
  return [...links, ...tables.map((table) => table.slice(0, table.indexOf(' {')))];
}
