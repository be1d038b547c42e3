import type { Kernel } from '../../../driver/kernel/kernel.ts';
import { POINT_NAMES, PROBE_PREFIX, probeRules, probeTable, type Point } from './frame.ts';

/** How many frames of a probe came by each point of this host. */
export type Counts = Record<Point, number>;

/** How long a table stays if nobody takes it away, ms. */
const LIFETIME_MS = 60_000;

/** Counts one probe in the kernel, until it is closed. */
export class ProbeCounters implements AsyncDisposable {
  readonly #kernel: Kernel;
  readonly #table: string;
  readonly #timer: NodeJS.Timeout;

  private constructor(kernel: Kernel, mark: number) {
    this.#kernel = kernel;
    this.#table = probeTable(mark);
    this.#timer = setTimeout(() => void this[Symbol.asyncDispose]().catch(() => undefined), LIFETIME_MS).unref();
  }

  /** @param port UDP port of the tunnels */
  static async open(kernel: Kernel, mark: number, port: number): Promise<ProbeCounters> {
    await kernel.run(['nft', '-f', '-'], { input: probeRules(mark, port) });
    return new ProbeCounters(kernel, mark);
  }

  async read(): Promise<Counts> {
    const { stdout } = await this.#kernel.run(['nft', '-j', 'list', 'counters', 'table', ...this.#table.split(' ')]);
    const { nftables } = JSON.parse(stdout) as { nftables: { counter?: { name: string; packets: number } }[] };
    const packets = (point: Point): number => nftables.find(({ counter }) => counter?.name === point)?.counter?.packets ?? 0;
    return Object.fromEntries(POINT_NAMES.map((point) => [point, packets(point)])) as Counts;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await this.#kernel.run(['nft', 'delete', 'table', ...this.#table.split(' ')], { okCodes: [0, 1] });
  }
}

/** Takes away what an agent that died has left. */
export async function removeProbes(kernel: Kernel): Promise<void> {
  const { stdout } = await kernel.run(['nft', 'list', 'tables'], { okCodes: [0, 1] });
  for (const line of stdout.split('\n').filter((each) => each.startsWith(`table inet ${PROBE_PREFIX}`))) {
    await kernel.run(['nft', 'delete', ...line.trim().split(' ')] as [string, ...string[]], { okCodes: [0, 1] });
  }
}
