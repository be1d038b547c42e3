import type { Family } from '../ipam/address.ts';
import { PORT_TABLES } from '../publish/rules.ts';
import { TABLE } from '../overlay/rules.ts';
import type { Kernel } from './kernel.ts';

/**
 * Docker's iptables rules may drop what is forwarded (policy DROP since 1.13), and an accept in our
 * own table cannot undo a drop in another one. So, where Docker gave users a chain to say otherwise,
 * we say it there (DOCKER-USER), else in FORWARD itself. `cb+` is every bridge of ours.
 */
const ACCEPTS = [
  ['-i', 'cb+', '-j', 'ACCEPT'],
  ['-o', 'cb+', '-m', 'conntrack', '--ctstate', 'RELATED,ESTABLISHED', '-j', 'ACCEPT'],
  // to a published port
  ['-o', 'cb+', '-m', 'conntrack', '--ctstate', 'DNAT', '-j', 'ACCEPT'],
] as const;

/** Puts the rules into the kernel and keeps them there. */
export class Rules {
  readonly #kernel: Kernel;
  #wanted = '';
  /** How nft listed our tables after we wrote them: whoever changes one changes this. */
  #listed: string | undefined;
  /** Whether there may be rules of ours for IPv6: after a start, nobody knows. */
  #passed6 = true;
  /** Tables for published ports that may be there; at first those of an earlier life. */
  #ports: readonly string[] | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /**
   * @param rules for `nft -f -`
   * @param wanted whether there are networks with that family
   * @param look whether to look at the kernel even if nothing new is wanted
   * @returns what had to be repaired
   */
  async ensure(rules: string, wanted: Record<Family, boolean>, look: boolean): Promise<string[]> {
    const changed = rules !== this.#wanted;
    if (!changed && !look) return [];
    const repaired: string[] = [];
    if (changed || (await this.#list(rules)) !== this.#listed) {
      if (!changed) repaired.push(`nftables: table ${TABLE} was changed`);
      // one that was never there is not named, as its family may need a module that this kernel lacks
      this.#ports ??= await this.#portTables();
      const over = this.#ports.filter((name) => !rules.includes(`table ${name} {`));
      await this.#kernel.run(['nft', '-f', '-'], { input: rules + over.map((name) => `table ${name} {}\ndelete table ${name}\n`).join('') });
      this.#ports = PORT_TABLES.filter((name) => rules.includes(`table ${name} {`));
      this.#listed = await this.#list(rules);
      this.#wanted = rules;
    }
    repaired.push(...(await this.#passDocker('iptables', wanted[4])));
    // without such a network nothing is to be seen to, once what was there has been taken away
    if (wanted[6] || this.#passed6) repaired.push(...(await this.#passDocker('ip6tables', wanted[6])));
    this.#passed6 = wanted[6];
    return changed ? [] : repaired;
  }

  async #list(rules: string): Promise<string> {
    const names = [TABLE, ...PORT_TABLES].filter((name) => rules.includes(`table ${name} {`));
    const all = await Promise.all(names.map((name) => this.#kernel.run(['nft', 'list', 'table', ...name.split(' ')], { okCodes: [0, 1] })));
    return all.map(({ stdout }) => stdout).join('');
  }

  async #portTables(): Promise<string[]> {
    const { stdout } = await this.#kernel.run(['nft', 'list', 'tables'], { okCodes: [0, 1] });
    return PORT_TABLES.filter((name) => stdout.split('\n').includes(`table ${name}`));
  }

  async #passDocker(program: 'iptables' | 'ip6tables', wanted: boolean): Promise<string[]> {
    const iptables = (await this.#usesLegacy(program)) ? `${program}-legacy` : program;
    const { stdout, code } = await this.#kernel.run([iptables, '-w', '-S'], { okCodes: [0, 1, 2, 3, 4] });
    if (code !== 0) return [];
    const rules = stdout.split('\n');
    const chain = rules.includes('-N DOCKER-USER') ? 'DOCKER-USER' : rules.includes('-P FORWARD DROP') ? 'FORWARD' : undefined;
    if (!chain) return [];
    const isThere = (accept: readonly string[]): boolean => rules.includes(['-A', chain, ...accept].join(' '));
    if (!wanted) {
      for (const accept of ACCEPTS.filter(isThere)) await this.#kernel.run([iptables, '-w', '-D', chain, ...accept]);
      return [];
    }
    const missing = ACCEPTS.filter((accept) => !isThere(accept));
    for (const accept of missing) await this.#kernel.run([iptables, '-w', '-I', chain, ...accept]);
    return missing.map((accept) => `${program}: ${chain} ${accept.join(' ')} was missing`);
  }

  /** Asking iptables-legacy would itself create its tables, so first see whether there are any. */
  async #usesLegacy(program: 'iptables' | 'ip6tables'): Promise<boolean> {
    const names = program === 'iptables' ? '/proc/net/ip_tables_names' : '/proc/net/ip6_tables_names';
    const { stdout, code } = await this.#kernel.run(['cat', names], { okCodes: [0, 1] });
    return code === 0 && stdout.split('\n').includes('filter');
  }
}
