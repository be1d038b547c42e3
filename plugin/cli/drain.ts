import type { HostLoad } from '../agent/api.ts';
import type { Wish } from './several.ts';

/** A destination needs this many times a container's memory while it arrives (../migration/preflight.ts). */
const TIMES = 2;
/** Hosts whose free memory differs by less than this share of all they have count as alike, so that the number of containers decides. */
const SHARE = 0.1;

interface Room {
  name: string;
  total: number;
  available: number;
  containers: number;
}

/**
 * Where each container of a host should go. The largest choose first, since there are fewest places for them; each takes the host with the most memory
 * left, as a share, and among those alike the one with the fewest containers. What moves first is the smallest: should it have to be stopped, the most are away.
 *
 * Decides nothing about what cannot move: that a host says itself, when it is asked. The destinations after the first are for when it refuses.
 *
 * @param to the hosts that may be chosen, in no order
 */
export function chooseDestinations(leaving: NonNullable<HostLoad['containers']>, to: readonly HostLoad[]): Wish[] {
  const rooms = to.flatMap(({ name, memory, containers }): Room[] => (memory === undefined || containers === undefined ? [] : [{ name, ...memory, containers: containers.length }]));
  const bySize = [...leaving].sort((a, b) => b.memory - a.memory || (a.name < b.name ? -1 : 1));
  const placed = bySize.map(({ name, memory }): Wish => {
    const [best, ...others] = [...rooms].sort((a, b) => compare(a, b, memory));
    if (best === undefined) throw new Error('no host to choose');
    best.available -= memory;
    best.containers += 1;
    return { request: { container: name, to: best.name }, instead: others.map((room) => room.name) };
  });
  return placed.reverse();
}

/** The better one first. */
function compare(a: Room, b: Room, memory: number): number {
  const fits = (room: Room): number => (room.available >= memory * TIMES ? 0 : 1);
  const left = (room: Room): number => Math.round((room.available - memory) / room.total / SHARE);
  return fits(a) - fits(b) || left(b) - left(a) || a.containers - b.containers || (a.name < b.name ? -1 : 1);
}
