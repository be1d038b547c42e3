import { bridgeName, gatewayMac, hostAddress, hostMac, vxlanName } from '../overlay/names.ts';
import type { Network } from '../overlay/records.ts';
import type { Mapping, Publications, Return } from './plan.ts';

/** Our tables for published ports. They are there only while there are such ports. */
export const PORT_TABLES = ['ip coat-ports', 'bridge coat-ports'] as const;

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
  const networks = [...new Map(mappings.map(({ network }) => [network.vni, network])).values()];
  const changes = mappings.map(destination);
  return `${[
    ...table('ip coat-ports', [
      // a bridge may route 127.0.0.1 for the sake of this host; no container may use that
      ...chain('guard', 'filter hook prerouting priority -300', ['iifname "cb*" ip daddr 127.0.0.0/8 drop']),
      // after connection tracking, before anything is decided about the way
      ...chain('returns', 'filter hook prerouting priority -150', ['iifname "cb*" ct status snat accept', 'iifname "cb*" ct status dnat accept', ...returns.map(goBack)]),
      // before Docker's own, whose ports are others: each port is held by one program
      ...chain('prerouting', 'nat hook prerouting priority -101', changes),
      ...chain('output', 'nat hook output priority -101', changes),
      ...chain('postrouting', 'nat hook postrouting priority 99', networks.map((network) => ownSource(network, self.address))),
    ]),
    ...table('bridge coat-ports', chain('returns', 'filter hook prerouting priority -300', networks.map((network) => takeIn(network, self.host)))),
  ].join('\n')}\n`;
}

function destination({ ip, port: { proto, port, hostIp, hostPort } }: Mapping): string {
  const where = hostIp === undefined ? 'fib daddr type local' : `ip daddr ${hostIp}`;
  return `${where} ${proto} dport ${hostPort} dnat to ${ip}:${port}`;
}

const ownSource = ({ vni, subnet }: Network, address: string): string =>
  `ip saddr { 127.0.0.0/8, ${subnet} } oifname "${bridgeName(vni)}" ct status dnat snat to ${address}`;

/**
 * Sends an answer to the hosts that may know its connection, by the tunnels and past the routes: its destination may be an address
 * of this very host. `dup` leaves connection tracking out, and the original goes no further, so nothing is remembered here.
 * A container's own connection from that port, which begins with SYN alone, is none of this.
 */
function goBack({ network, ip, proto, port, to }: Return): string {
  const bridge = bridgeName(network.vni);
  const what = proto === 'tcp' ? `tcp sport ${port} tcp flags & (syn | ack) != syn` : `udp sport ${port}`;
  const copies = to.map(({ name }) => `dup to ${hostAddress(name)} device "${bridge}"`);
  return ['iifname', `"${bridge}"`, 'ip saddr', ip, 'ip daddr !=', network.subnet, what, ...copies, 'drop'].join(' ');
}

/** Frames to this host's own MAC become ones to the gateway's, which all hosts share, so that the kernel routes them. */
const takeIn = ({ vni }: Network, host: string): string =>
  `iifname "${vxlanName(vni)}" ether daddr ${hostMac(host)} ether daddr set ${gatewayMac(vni)} meta pkttype set host`;

const table = (name: string, lines: string[]): string[] => [`table ${name} {}`, `delete table ${name}`, `table ${name} {`, ...lines, '}'];

const chain = (name: string, type: string, rules: string[]): string[] => [`  chain ${name} {`, `    type ${type}; policy accept;`, ...rules.map((rule) => `    ${rule}`), '  }'];
