/**
 * How the held frames go: the first five hundred at once, more of them 125 000 a second, as each is billed with so much more than it has. A processor's backlog has
 * room for 1000 (net.core.netdev_max_backlog), and drops what does not fit in.
 */
export const PACED = { rate: 1_000_000_000, burst: 4_000_000, overhead: 8_000 };
/** How they go afterwards: as a veth carries them. In bytes, and bytes a second. */
export const WIDE = { rate: 4_250_000_000, burst: 1_000_000, overhead: 0 };
