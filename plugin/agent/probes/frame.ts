/** What the MAC addresses of a probe begin with: locally administered, and no endpoint's, bridge's or host's. */
const OUI = '02c2';
/** IEEE 802, for local experiments: nobody's protocol. */
const ETHERTYPE = '88b5';
/** The least that an Ethernet frame carries, bytes. */
const PAYLOAD = 46;

/** @param mark tells probes apart, 32 bits */
const macOf = (mark: number): string => OUI + mark.toString(16).padStart(8, '0');

/**
 * What goes through a tunnel as a container's frame does, RFC 7348 §5: the flag "there is a VNI", the VNI, and an Ethernet frame. The VNI is 0,
 * which is no network's, so the kernel at the other end throws it away.
 */
export function probeFrame(mark: number): Buffer {
  return Buffer.concat([Buffer.from(`0800000000000000${OUI}00000000${macOf(mark)}${ETHERTYPE}`, 'hex'), Buffer.alloc(PAYLOAD)]);
}

/** Where a probe is counted, with the hook and a priority that is before or after all firewalls of the host (nft(8), hooks and priorities). */
const POINTS = {
  left: 'postrouting priority 450',
  arrived: 'prerouting priority -450',
  passed: 'input priority 450',
} as const;
export type Point = keyof typeof POINTS;

export const POINT_NAMES = Object.keys(POINTS) as Point[];

/** The nftables table that counts one probe: nothing is decided in it. */
export const probeTable = (mark: number): string => `inet ${PROBE_PREFIX}${macOf(mark).slice(OUI.length)}`;
export const PROBE_PREFIX = 'coat-probe-';

/** Rules for `nft -f -`. The frame's source address lies 8 bytes of UDP, 8 of VXLAN and 6 of Ethernet behind the beginning of UDP. */
export function probeRules(mark: number, port: number): string {
  const chains = POINT_NAMES.map((point) => `
  counter ${point} {}
  chain ${point} {
    type filter hook ${POINTS[point]}; policy accept;
    udp dport ${port} @th,176,48 0x${macOf(mark)} counter name ${point}
  }`);
  return `table ${probeTable(mark)} {${chains.join('')}\n}\n`;
}
