import { explain } from '../../../driver/host/errors.ts';
import type { Log } from '../../../driver/host/log.ts';
import { carries, interfaceMtu } from './ping.ts';
import { largest } from './search.ts';

/** Between two looks, ms. */
const EVERY_MS = 15_000;
/** What every IPv4 path has to carry, bytes (RFC 791); no network of ours sends less. */
const LEAST = 576;
/** Networks are not made for more, bytes; see driver/overlay/mtu.ts. */
const MOST = 9_000;

export interface PathMtusOptions {
  /** The hosts to look at. */
  peers(): readonly { name: string; address: string }[];
  log: Log;
  /** Largest packet that gets to an address, bytes; `undefined` where none does. */
  measure?: (address: string) => Promise<number | undefined>;
  /** ms. */
  every?: number;
}

/** How large a packet the path to each peer carries, measured again and again. */
export class PathMtus {
  readonly #options: PathMtusOptions;
  readonly #known = new Map<string, number>();
  #looking: Promise<void> | undefined;
  #seen = '';
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: PathMtusOptions) {
    this.#options = options;
  }

  start(): void {
    const { every = EVERY_MS } = this.#options;
    const again = (): void => {
      if (!this.#stopped) this.#timer = setTimeout(() => void this.look().then(again), every).unref();
    };
    void this.look().then(again);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Looks at once where there are other peers than before. */
  peersMayHaveChanged(): void {
    if (this.#peers() !== this.#seen && !this.#stopped) void this.look();
  }

  /** Measures all paths now. Who asks while it is being done waits for the same. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  /** Bytes, IP's head included; `undefined` while it is not known. */
  to(address: string): number | undefined {
    return this.#known.get(address);
  }

  #peers(): string {
    return this.#options.peers().map(({ name, address }) => `${name}=${address}`).join();
  }

  async #look(): Promise<void> {
    do {
      this.#seen = this.#peers();
      const peers = this.#options.peers();
      for (const address of this.#known.keys()) if (!peers.some((peer) => peer.address === address)) this.#known.delete(address);
      await Promise.all(peers.map(({ name, address }) => this.#lookAt(name, address)));
      // others may have come meanwhile
    } while (this.#peers() !== this.#seen && !this.#stopped);
  }

  async #lookAt(host: string, address: string): Promise<void> {
    const { log, measure = measurePath } = this.#options;
    const before = this.#known.get(address);
    const bytes = await measure(address).catch((error: unknown) => void log.debug({ host, reason: explain(error) }, 'what the path carries is not known'));
    // a host that is away says nothing about its path
    if (bytes === undefined) return void this.#known.delete(address);
    this.#known.set(address, bytes);
    if (before !== undefined && before !== bytes) log.warn({ host, before, bytes }, 'the path to a host carries another size than before');
  }
}

async function measurePath(address: string): Promise<number | undefined> {
  const mtu = await interfaceMtu(address);
  return mtu === undefined ? undefined : largest(LEAST, Math.min(mtu, MOST), (bytes) => carries(address, bytes));
}
