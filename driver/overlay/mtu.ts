import type { Family } from '../ipam/address.ts';

/** What VXLAN puts around a frame: 14 Ethernet + 8 VXLAN + 8 UDP + 20 IPv4 or 40 IPv6, RFC 7348 §5. Bytes. */
export const VXLAN_OVERHEAD: Record<Family, number> = { 4: 50, 6: 70 };

/** What a network gets when nothing is known about the way to its peers, ether. Bytes. */
const USUAL = 1500;

/** Above this no interface is asked to go: `lo` says 65536, which no tunnel can use. Bytes. */
const HIGHEST = 9000;

/**
 * The MTU inside a network, from those of the ways to all peers: what fits through the narrowest.
 *
 * @param underlay the family of the hosts' addresses
 */
export const overlayMtu = (ways: readonly number[], underlay: Family): number => Math.min(HIGHEST, ...(ways.length > 0 ? ways : [USUAL])) - VXLAN_OVERHEAD[underlay];
