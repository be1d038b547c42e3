import { createHash } from 'node:crypto';
import { addressBytes, canonical, familyOf, type Family } from '../ipam/address.ts';

/**
 * Every name and number that all hosts must agree on without asking each other. Interface names are
 * at most 15 characters (IFNAMSIZ, netdevice(7)):
 *
 *     cb00a41f      bridge of VNI 0x00a41f        cv9f86d081aa   a port: our end of a container's veth
 *     cx00a41f      its vxlan device              ci9f86d081aa   the other end, until Docker takes it
 */
export const bridgeName = (vni: number): string => `cb${hex(vni)}`;
export const vxlanName = (vni: number): string => `cx${hex(vni)}`;
export const portName = (link: string): string => `cv${link}`;
export const innerName = (link: string): string => `ci${link}`;

/** Interfaces with these names are ours: what no record explains is removed. */
export const isBridge = (name: string): boolean => /^cb[0-9a-f]{6}$/.test(name);
export const isVxlan = (name: string): boolean => /^cx[0-9a-f]{6}$/.test(name);
export const isPort = (name: string): boolean => /^cv[0-9a-f]{10}$/.test(name);

/** The middle of a port's name: 40 bits of a hash of what the port belongs to. */
export const linkOf = (owner: string): string => createHash('sha256').update(owner).digest('hex').slice(0, 10);

/** The bridge's MAC, locally administered and the same on every host: a gateway that moves with nobody. */
export const gatewayMac = (vni: number): string => `02:c0:a7:${hex(vni).match(/../g)!.join(':')}`;

/**
 * The MAC by which the other hosts send something to this host itself, and not to the gateway, which each takes for its own:
 * locally administered, the same in all networks.
 */
export const hostMac = (host: string): string => `02:c1:${createHash('sha256').update(host).digest('hex').slice(0, 8).match(/../g)!.join(':')}`;

/** Where IPv6 addresses that stand for hosts are. */
export const HOST_PREFIX6 = '100::/64';

/**
 * The address that stands for a host where nftables and the kernel's routes want one. Never on a wire: 240.0.0.0/4 is nobody's (RFC 1112
 * §4), and what goes to 100::/64 is to be discarded (RFC 6666).
 */
export function hostAddress(host: string, family: Family): string {
  const hash = createHash('sha256').update(host).digest();
  if (family === 6) return canonical(`100:0:0:0:${hash.subarray(0, 8).toString('hex').match(/.{4}/g)!.join(':')}`);
  const [first, ...others] = hash.subarray(0, 4);
  return [240 + (first! % 15), ...others].join('.');
}
export const isHostAddress = (address: string): boolean => (familyOf(address) === 6 ? address.startsWith('100::') : /^2(4\d|5[0-4])\./.test(address));

/**
 * The MAC of an endpoint that brings none of its own, as Docker's own overlay makes it: 02:42 and the address.
 *
 * @param taken those of others: who moved keeps its MAC, although its address may become another one with its next start
 */
export function endpointMac(ip: string, taken: ReadonlySet<string> = new Set()): string {
  const form = (tail: Buffer): string => `02:42:${tail.toString('hex').match(/../g)!.join(':')}`;
  let mac = form(addressBytes(ip));
  for (let n = 1; taken.has(mac); n += 1) mac = form(createHash('sha256').update(`${ip} ${n}`).digest().subarray(0, 4));
  return mac;
}

/** The highest VXLAN network identifier, RFC 7348: 24 bits. */
export const MAX_VNI = 0xffffff;

/**
 * UDP port of the tunnels. Neither 4789 (IANA; Swarm's, and swallowed by some hypervisors) nor 8472
 * (the kernel's old default, flannel's) nor 4790 (VXLAN-GPE, which network cards parse otherwise).
 */
export const DEFAULT_VXLAN_PORT = 4798;

/**
 * The VNI of a network: a hash of its key, or the next number free. The hash makes two hosts that
 * create the same network at once agree.
 */
export function chooseVni(key: string, taken: ReadonlySet<number>): number {
  let vni = createHash('sha256').update(key).digest().readUInt32BE() % MAX_VNI;
  while (taken.has(vni + 1)) vni = (vni + 1) % MAX_VNI;
  return vni + 1;
}

const hex = (vni: number): string => vni.toString(16).padStart(6, '0');
