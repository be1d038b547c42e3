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
] as const;

/** Puts the rules into the kernel and keeps them there. */
export class Rules {
  readonly #kernel: Kernel;
  #wanted = '';
  /** How nft listed our table after we wrote it: whoever changes it changes this. */
  #listed: string | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /**
   * @param rules for `nft -f -`
   * @param look whether to look at the kernel even if nothing new is wanted
   * @returns what had to be repaired
   */
  async ensure(rules: string, networks: number, look: boolean): Promise<string[]> {
    const changed = rules !== this.#wanted;
    if (!changed && !look) return [];
    const repaired: string[] = [];
    if (changed || (await this.#list()) !== this.#listed) {
      if (!changed) repaired.push(`nftables: table ${TABLE} was changed`);
      await this.#kernel.run(['nft', '-f', '-'], { input: rules });
      this.#listed = await this.#list();
      this.#wanted = rules;
    }
    repaired.push(...(await this.#passDocker(networks > 0)));
    return changed ? [] : repaired;
  }

  async #list(): Promise<string> {
    const { stdout } = await this.#kernel.run(['nft', 'list', 'table', ...TABLE.split(' ')], { okCodes: [0, 1] });
    return stdout;
  }

  async #passDocker(wanted: boolean): Promise<string[]> {
    const iptables = (await this.#usesLegacy()) ? 'iptables-legacy' : 'iptables';
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
    return missing.map((accept) => `iptables: ${chain} ${accept.join(' ')} was missing`);
  }

  /** Asking iptables-legacy would itself create its tables, so first see whether there are any. */
  async #usesLegacy(): Promise<boolean> {
    const { stdout, code } = await this.#kernel.run(['cat', '/proc/net/ip_tables_names'], { okCodes: [0, 1] });
    return code === 0 && stdout.split('\n').includes('filter');
  }
}

/** Lets the kernel forward between interfaces, ip-sysctl: without it a gateway is none. */
export async function enableForwarding(kernel: Kernel, hostRoot: string): Promise<void> {
  const { stdout } = await kernel.run(['cat', '/proc/sys/net/ipv4/ip_forward']);
  // a plugin's own /proc/sys is read-only, the host's is not
  if (stdout.trim() !== '1') await kernel.run(['tee', `${hostRoot}/proc/sys/net/ipv4/ip_forward`], { input: '1' });
}
