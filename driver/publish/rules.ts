import { familyOf, type Family } from '../ipam/address.ts';
import { bridgeName, gatewayMac, hostAddress, hostMac, vxlanName } from '../overlay/names.ts';
import type { Network } from '../overlay/records.ts';
import type { Mapping, Publications, Return } from './plan.ts';

/** Our tables for published ports. They are there only while there are such ports. */
export const PORT_TABLES = ['ip coat-ports', 'ip6 coat-ports', 'bridge coat-ports'] as const;

/** Who this host is to the others. */
interface Self {
  host: string;
  /** Underlay address. */
  address: string;
}

/**
 * The nftables rules for published ports, nft(8).
 *
 * A connection to a port of this host gets the container's address as its destination and keeps the client's as its source, so
 * that the container knows its clients. Only where answers to that source would not come back by this host does it get this
 * host's own: from the host itself (127.0.0.1), and from containers of the same network, which would be answered directly.
 */
export function portRules({ mappings, returns }: Publications, self: Self): string {
  if (mappings.length === 0 && returns.length === 0) return '';
  const of = (family: Family): Publications => ({ mappings: mappings.filter(({ ip }) => familyOf(ip) === family), returns: returns.filter(({ ip }) => familyOf(ip) === family) });
  return `${[
    ...familyTable(4, of(4), self),
    ...familyTable(6, of(6), self),
    ...table('bridge coat-ports', chain('returns', 'filter hook prerouting priority -300', networksOf(mappings).map((network) => takeIn(network, self.host)))),
  ].join('\n')}\n`;
}

const networksOf = (mappings: readonly Mapping[]): Network[] => [...new Map(mappings.map(({ network }) => [network.vni, network])).values()];

function familyTable(family: Family, { mappings, returns }: Publications, self: Self): string[] {
  if (mappings.length === 0 && returns.length === 0) return [];
  const [ip, loopback] = WORDS[family];
  const changes = mappings.map(destination);
  return table(`${ip} coat-ports`, [
    // a bridge may route 127.0.0.1 for the sake of this host; no container may use that
    ...chain('guard', 'filter hook prerouting priority -300', [`iifname "cb*" ${ip} daddr ${loopback} drop`]),
    // after connection tracking, before anything is decided about the way
    ...chain('returns', 'filter hook prerouting priority -150', ['iifname "cb*" ct status snat accept', 'iifname "cb*" ct status dnat accept', ...returns.map(goBack)]),
    // before Docker's own, whose ports are others: each port is held by one program
    ...chain('prerouting', 'nat hook prerouting priority -101', changes),
    ...chain('output', 'nat hook output priority -101', changes),
    ...(family === 6 ? chain('loopback', 'filter hook output priority 0', mappings.map(refuseLoopback)) : []),
    ...chain('postrouting', 'nat hook postrouting priority 99', networksOf(mappings).map((network) => ownSource(network, family, self))),
  ]);
}

/** nft(8): what a family is called, and its addresses that are of the host itself alone. */
const WORDS = { 4: ['ip', '127.0.0.0/8'], 6: ['ip6', '::1'] } as const;

function destination({ ip, port: { proto, port, hostIp, hostPort } }: Mapping): string {
  const [word] = WORDS[familyOf(ip)];
  const where = hostIp === '::' ? 'ip6 daddr != ::1 fib daddr type local' : hostIp === undefined ? 'fib daddr type local' : `${word} daddr ${hostIp}`;
  return `${where} ${proto} dport ${hostPort} dnat to ${familyOf(ip) === 6 ? `[${ip}]` : ip}:${port}`;
}

/**
 * With br_netfilter an answer gets ::1 as its destination when it is still the bridge's, and the kernel throws away what comes to that from another
 * interface (RFC 4291 §2.5.3; net/ipv6/ip6_input.c). So who tries `localhost` hears at once that it has to be 127.0.0.1, and not the one who only holds the port.
 */
const refuseLoopback = ({ port: { proto, hostPort } }: Mapping): string =>
  `ip6 daddr ::1 ${proto} dport ${hostPort} reject${proto === 'tcp' ? ' with tcp reset' : ''}`;

/** Where the underlay is of the other family, it is the address that stands for this host, to which an answer finds its way as to any other. */
function ownSource({ vni, subnet, subnet6 }: Network, family: Family, { host, address }: Self): string {
  const [word, loopback] = WORDS[family];
  const own = familyOf(address) === family ? address : hostAddress(host, family);
  return `${word} saddr { ${loopback}, ${family === 6 ? subnet6 : subnet} } oifname "${bridgeName(vni)}" ct status dnat snat to ${own}`;
}

/**
 * Sends an answer to the hosts that may know its connection, by the tunnels and past the routes: its destination may be an address
 * of this very host. `dup` leaves connection tracking out, and the original goes no further, so nothing is remembered here.
 * A container's own connection from that port, which begins with SYN alone, is none of this.
 */
function goBack({ network, ip, proto, port, to }: Return): string {
  const bridge = bridgeName(network.vni);
  const what = proto === 'tcp' ? `tcp sport ${port} tcp flags & (syn | ack) != syn` : `udp sport ${port}`;
  const family = familyOf(ip);
  const [word] = WORDS[family];
  const copies = to.map(({ name }) => `dup to ${hostAddress(name, family)} device "${bridge}"`);
  return ['iifname', `"${bridge}"`, word, 'saddr', ip, word, 'daddr !=', family === 6 ? network.subnet6 : network.subnet, what, ...copies, 'drop'].join(' ');
}

/** Frames to this host's own MAC become ones to the gateway's, which all hosts share, so that the kernel routes them. */
const takeIn = ({ vni }: Network, host: string): string =>
  `iifname "${vxlanName(vni)}" ether daddr ${hostMac(host)} ether daddr set ${gatewayMac(vni)} meta pkttype set host`;

const table = (name: string, lines: string[]): string[] => [`table ${name} {}`, `delete table ${name}`, `table ${name} {`, ...lines, '}'];

const chain = (name: string, type: string, rules: string[]): string[] => [`  chain ${name} {`, `    type ${type}; policy accept;`, ...rules.map((rule) => `    ${rule}`), '  }'];
