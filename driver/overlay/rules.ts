import { familyOf } from '../ipam/address.ts';
import type { Network } from './records.ts';
import { bridgeName } from './names.ts';

/** Our table. Only we write it, and always as a whole. */
export const TABLE = 'inet coat';
/** Takes it away. */
export const NO_RULES = `table ${TABLE} {}\ndelete table ${TABLE}\n`;

/**
 * The nftables rules for the networks that are alive on this host, nft(8): between containers of one
 * network all passes (bridged frames come through here where br_netfilter is on); between networks
 * nothing; out to the world with the host's own address; in from the world only answers and what comes to a published port. From an internal network nothing leads
 * anywhere, the host's own addresses included: a host answers for all of them on each of its interfaces.
 *
 * Who sends to the tunnels' port speaks on every network as whom he likes (RFC 7348 §7), and a container reaches that port at its host, and through its
 * host at the others. So it is for the hosts' own addresses alone, and on a host without a network that is all there is.
 */
export function ruleset(networks: readonly Network[], tunnels: Tunnels): string {
  const sorted = [...networks].sort((a, b) => a.vni - b.vni);
  const open = sorted.filter((network) => !network.internal);
  const internal = sorted.filter((network) => network.internal);
  const forward = ['  chain forward {', '    type filter hook forward priority filter; policy accept;', `    ${notOurs(tunnels, 'to')} drop`];
  const input = ['  chain input {', '    type filter hook input priority filter; policy accept;', `    ${notOurs(tunnels, 'in')} drop`];
  if (sorted.length === 0) return table([...forward, '  }', ...input, '  }']);
  return table([
    ...forward,
    ...sorted.map(({ vni }) => `    iifname "${bridgeName(vni)}" oifname "${bridgeName(vni)}" accept`),
    ...internal.flatMap(({ vni }) => [`    iifname "${bridgeName(vni)}" drop`, `    oifname "${bridgeName(vni)}" drop`]),
    '    oifname "cb*" ct status dnat accept',
    '    iifname "cb*" oifname "cb*" drop',
    '    oifname "cb*" ct state established,related accept',
    '    oifname "cb*" drop',
    '  }',
    ...input,
    ...internal.map(({ vni }) => `    iifname "${bridgeName(vni)}" drop`),
    // a container is no router of this host's (RFC 4861), whatever it says
    '    iifname "cb*" icmpv6 type { nd-router-advert, nd-redirect } drop',
    '  }',
    '  chain postrouting {',
    '    type nat hook postrouting priority srcnat; policy accept;',
    ...open.map(({ vni, subnet }) => `    ip saddr ${subnet} oifname != "${bridgeName(vni)}" masquerade`),
    ...open.flatMap(({ vni, subnet6 }) => (subnet6 === undefined ? [] : `    ip6 saddr ${subnet6} oifname != "${bridgeName(vni)}" masquerade`)),
    '  }',
  ]);
}

const table = (lines: readonly string[]): string => `${NO_RULES}table ${TABLE} {\n${lines.join('\n')}\n}\n`;

/** What the tunnels of all hosts have in common. */
export interface Tunnels {
  /** UDP. */
  port: number;
  /** Underlay addresses, all of one family; at least this host's own. */
  hosts: readonly string[];
}

/** Matches what others send to the tunnels: of this host, or of all hosts where it is forwarded. */
function notOurs({ port, hosts }: Tunnels, which: 'in' | 'to'): string {
  const ip = familyOf(hosts[0]!) === 6 ? 'ip6' : 'ip';
  const set = `{ ${hosts.join(', ')} }`;
  return `udp dport ${port} ${which === 'to' ? `${ip} daddr ${set} ` : ''}${ip} saddr != ${set}`;
}
