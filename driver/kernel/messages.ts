/**
 * Requests of rtnetlink(7) about interfaces, as bytes. By hand, because the package `netlink` has no types for what is inside of
 * a kind of interface, and its streams drop the flag `nested`, without which the kernel refuses.
 */

/** linux/rtnetlink.h, linux/if_link.h, linux/veth.h, linux/if_bridge.h */
export const [RTM_NEWLINK, RTM_SETLINK] = [16, 19];
const [AF_BRIDGE, AF_INET6] = [7, 10];
const NESTED = 0x8000;
const [IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_PROTINFO, IFLA_LINKINFO, IFLA_AF_SPEC] = [1, 3, 4, 10, 12, 18, 26];
const [IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER] = [1, 2, 1];
const [IFLA_BRPORT_STATE, IFLA_BRPORT_LEARNING] = [1, 8];
const [IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE] = [8, 1];
const [BR_STATE_DISABLED, BR_STATE_FORWARDING] = [0, 3];
const IFF_UP = 1;

/** struct ifinfomsg. */
function header({ family = 0, index = 0, up = false }: { family?: number; index?: number; up?: boolean } = {}): Buffer {
  const message = Buffer.alloc(16);
  message.writeUInt8(family, 0);
  message.writeInt32LE(index, 4);
  if (up) for (const at of [8, 12]) message.writeUInt32LE(IFF_UP, at);
  return message;
}

/** struct rtattr with its content, padded to four bytes. */
function attribute(type: number, ...content: Buffer[]): Buffer {
  const data = Buffer.concat(content);
  const whole = Buffer.alloc(4 + Math.ceil(data.length / 4) * 4);
  whole.writeUInt16LE(4 + data.length, 0);
  whole.writeUInt16LE(type, 2);
  data.copy(whole, 4);
  return whole;
}

const nested = (type: number, ...content: Buffer[]): Buffer => attribute(NESTED | type, ...content);
const text = (value: string): Buffer => Buffer.from(`${value}\0`);
const byte = (value: number): Buffer => Buffer.of(value);

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** RTM_NEWLINK of a veth pair, both ends here: `ip link add name … mtu … type veth peer name … mtu … address …`. */
export function vethMessage({ port, mtu, inner }: { port: string; mtu: number; inner: { name: string; mac: string } }): Buffer {
  const peer = Buffer.concat([header(), attribute(IFLA_IFNAME, text(inner.name)), attribute(IFLA_MTU, word(mtu)), attribute(IFLA_ADDRESS, Buffer.from(inner.mac.replaceAll(':', ''), 'hex'))]);
  const info = nested(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, text('veth')), nested(IFLA_INFO_DATA, nested(VETH_INFO_PEER, peer)));
  return Buffer.concat([header(), attribute(IFLA_IFNAME, text(port)), attribute(IFLA_MTU, word(mtu)), info]);
}

/** RTM_SETLINK: `ip link set dev … addrgenmode none`. A kernel without IPv6 refuses, and has nothing to switch off. */
export const quietMessage = (index: number): Buffer =>
  Buffer.concat([header({ index }), nested(IFLA_AF_SPEC, nested(AF_INET6, attribute(IFLA_INET6_ADDR_GEN_MODE, byte(IN6_ADDR_GEN_MODE_NONE))))]);

/** RTM_SETLINK: `ip link set dev … mtu … master …`. */
export const connectMessage = (index: number, mtu: number, master: number): Buffer =>
  Buffer.concat([header({ index }), attribute(IFLA_MTU, word(mtu)), attribute(IFLA_MASTER, word(master))]);

/** RTM_SETLINK: `ip link set dev … up`. */
export const upMessage = (index: number): Buffer => header({ index, up: true });

/** RTM_SETLINK: `bridge link set dev … learning off`. */
export const unlearnMessage = (index: number): Buffer => Buffer.concat([header({ family: AF_BRIDGE, index }), nested(IFLA_PROTINFO, attribute(IFLA_BRPORT_LEARNING, byte(0)))]);

/** RTM_SETLINK: `bridge link set dev … state …`. */
export const stateMessage = (index: number, state: 'forwarding' | 'disabled'): Buffer =>
  Buffer.concat([header({ family: AF_BRIDGE, index }), nested(IFLA_PROTINFO, attribute(IFLA_BRPORT_STATE, byte(state === 'disabled' ? BR_STATE_DISABLED : BR_STATE_FORWARDING)))]);
