import { z } from 'zod';
import { readIfThere, writeAtomic } from '../../../driver/host/files.ts';
import { Network } from '../../../driver/overlay/records.ts';

const Shape = z.object({ cluster: z.string(), networks: z.array(Network) });

/**
 * The networks this engine had when it was last looked at, in a file, because a network may be removed
 * while no agent is running. Belongs to one cluster: the memory of another one means nothing here.
 */
export class Seen {
  readonly #file: string;
  readonly #cluster: string;
  #networks = new Map<string, Network>();

  private constructor(file: string, cluster: string) {
    this.#file = file;
    this.#cluster = cluster;
  }

  static async load(file: string, cluster: string): Promise<Seen> {
    const seen = new Seen(file, cluster);
    const text = await readIfThere(file);
    const saved = text === undefined ? undefined : Shape.parse(JSON.parse(text));
    if (saved?.cluster === cluster) seen.#networks = new Map(saved.networks.map((network) => [network.key, network]));
    return seen;
  }

  get networks(): ReadonlyMap<string, Network> {
    return this.#networks;
  }

  /** Remembers exactly these. */
  async set(networks: ReadonlyMap<string, Network>): Promise<void> {
    const content = { cluster: this.#cluster, networks: [...networks.values()].sort((a, b) => (a.key < b.key ? -1 : 1)) };
    const before = { cluster: this.#cluster, networks: [...this.#networks.values()] };
    if (JSON.stringify(content) === JSON.stringify(before)) return;
    await writeAtomic(this.#file, `${JSON.stringify(content, null, 2)}\n`);
    this.#networks = new Map(content.networks.map((network) => [network.key, network]));
  }
}
