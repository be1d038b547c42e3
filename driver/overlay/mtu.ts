/** What VXLAN over IPv4 puts around a frame: 14 Ethernet + 8 VXLAN + 8 UDP + 20 IP, RFC 7348 §5. Bytes. */
export const VXLAN_OVERHEAD = 50;

/** What a network gets when nothing is known about the way to its peers, ether. Bytes. */
const USUAL = 1500;

/** Above this no interface is asked to go: `lo` says 65536, which no tunnel can use. Bytes. */
const HIGHEST = 9000;

/** The MTU inside a network, from those of the ways to all peers: what fits through the narrowest. */
export const overlayMtu = (ways: readonly number[]): number => Math.min(HIGHEST, ...(ways.length > 0 ? ways : [USUAL])) - VXLAN_OVERHEAD;
