/**
 * Addresses for whoever comes next. An engine that lets nobody choose an address in a network asks for any one when an arriving
 * container starts there, and it must get the one that the container has. So for that moment its address is on offer.
 *
 * At most one in each network: two containers could not be told apart.
 */
export class Offers {
  readonly #open = new Map<string, { ip: string; over: Promise<void>; end: () => void }>();

  /** What is on offer in a network. */
  at(key: string): string | undefined {
    return this.#open.get(key)?.ip;
  }

  /** Waits until no other address is on offer in the network. Repeating it is fine. */
  async open(key: string, ip: string): Promise<void> {
    for (let other = this.#open.get(key); other; other = this.#open.get(key)) {
      if (other.ip === ip) return;
      await other.over;
    }
    let end: () => void = () => undefined;
    const over = new Promise<void>((resolve) => (end = resolve));
    this.#open.set(key, { ip, over, end });
  }

  /** One that is not on offer is fine. */
  close(key: string, ip: string): void {
    const offer = this.#open.get(key);
    if (offer?.ip !== ip) return;
    this.#open.delete(key);
    offer.end();
  }
}
