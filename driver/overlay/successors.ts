import type { Operation } from './diff.ts';
import type { Neighbour } from './state.ts';

/** More addresses than one layer 2 should have; the memory is only for speed. */
const REMEMBERED = 65_536;

/**
 * Finds addresses that come back with another MAC, whether or not they were nobody's in between. Containers that talked to the
 * old one would go on sending to its MAC until their caches give up, half a minute later (arp(7), base_reachable_time).
 */
export class Successors {
  readonly #macs = new Map<string, string>();

  /** @param operations what was just done to the kernel */
  among(operations: readonly Operation[]): Neighbour[] {
    const found: Neighbour[] = [];
    for (const operation of operations) {
      if (operation.do !== 'neighbour') continue;
      const { dev, ip, mac } = operation.entry;
      const key = `${dev} ${ip}`;
      const before = this.#macs.get(key);
      if (before !== undefined && before !== mac) found.push(operation.entry);
      this.#macs.delete(key);
      this.#macs.set(key, mac);
      if (this.#macs.size > REMEMBERED) this.#macs.delete(this.#macs.keys().next().value!);
    }
    return found;
  }
}
