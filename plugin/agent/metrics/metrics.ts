import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Observer } from '../../../driver/driver.ts';
import type { Claim, Network } from '../../../driver/overlay/records.ts';
import type { Report, Version } from '../api.ts';
import type { Peers } from '../peer.ts';

/** A peer that has not answered within this is down for the one who asks, who is waiting; ms. */
const PING_MS = 1_000;

/** Where numbers come from that are read when they are asked for. */
export interface MetricsSources {
  version: Version;
  replica: { connected: boolean; revision: number; networks: ReadonlyMap<string, Network>; claims: ReadonlyMap<string, Claim> };
  endpoints: () => number;
  repaired: () => number;
  moving: () => number;
  peers: Pick<Peers, 'others'>;
  /** What gets to an address whole, bytes. */
  carries: (address: string) => number | undefined;
}

/** All numbers of an agent, for Prometheus; docs/metrics.md lists them. */
export class Metrics implements Observer {
  readonly #register = new Registry();
  readonly #moves = this.#counter('coat_moves_total', 'Moves that have ended, by outcome; counted by the host they left', ['outcome']);
  readonly #blackout = this.#histogram('coat_move_blackout_seconds', 'From freeze to thaw of moves that were done', [0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30]);
  readonly #total = this.#histogram('coat_move_seconds', 'From begin to end of moves that were done', [0.5, 1, 2, 5, 10, 30, 60, 300, 1_800]);
  readonly #bytes = this.#counter('coat_move_bytes_total', 'What moves have carried, by kind', ['kind']);
  readonly #calls = this.#histogram('coat_docker_call_seconds', 'Calls of Docker to the network and address driver', [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10], ['method', 'outcome']);
  readonly #passes = this.#histogram('coat_reconcile_seconds', 'Passes that make the kernel what the records say', [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10], ['outcome']);

  constructor() {
    collectDefaultMetrics({ register: this.#register });
  }

  /** Adds the numbers that are looked up. Once. */
  watch({ version, replica, endpoints, repaired, moving, peers, carries }: MetricsSources): void {
    new Gauge({ name: 'coat_info', help: 'Version of the agent, and name of its host', labelNames: ['version', 'host'], registers: [this.#register] }).set({ version: version.version, host: version.host }, 1);
    this.#gauge('coat_moves_running', 'Moves under way from this host', moving);
    this.#gauge('coat_endpoints', 'Endpoints of containers on this host', endpoints);
    this.#gauge('coat_networks', 'Networks of the cluster', () => replica.networks.size);
    this.#gauge('coat_claims', 'Addresses that are taken in the cluster, those leased in advance included', () => replica.claims.size);
    this.#gauge('coat_store_up', 'Whether the store answers', () => Number(replica.connected));
    this.#gauge('coat_store_revision', 'Revision of the records this host knows', () => replica.revision);
    new Counter({
      name: 'coat_repairs_total',
      help: 'What somebody else had changed in the kernel, and was put right',
      registers: [this.#register],
      collect() {
        this.reset();
        this.inc(repaired());
      },
    });
    new Gauge({
      name: 'coat_peer_up',
      help: 'Whether another host answers',
      labelNames: ['peer'],
      registers: [this.#register],
      async collect() {
        this.reset();
        await Promise.all(peers.others().map(async (peer) => this.set({ peer: peer.name }, await peer.call('/v1/ping', {}, { timeout: PING_MS }).then(() => 1, () => 0))));
      },
    });
    new Gauge({
      name: 'coat_peer_path_bytes',
      help: 'The largest packet that gets to another host',
      labelNames: ['peer'],
      registers: [this.#register],
      collect() {
        this.reset();
        for (const peer of peers.others()) {
          const bytes = carries(peer.address);
          if (bytes !== undefined) this.set({ peer: peer.name }, bytes);
        }
      },
    });
  }

  /** A move from this host has ended. */
  moved({ outcome, blackout, total, bytes }: Report): void {
    this.#moves.inc({ outcome });
    for (const [kind, count] of Object.entries(bytes)) this.#bytes.inc({ kind }, count);
    if (outcome !== 'migrated') return;
    this.#total.observe(total / 1_000);
    if (blackout !== undefined) this.#blackout.observe(blackout / 1_000);
  }

  called(method: string, ms: number, ok: boolean): void {
    this.#calls.observe({ method, outcome: ok ? 'ok' : 'error' }, ms / 1_000);
  }

  passed(ms: number, ok: boolean): void {
    this.#passes.observe({ outcome: ok ? 'ok' : 'error' }, ms / 1_000);
  }

  /** In the text format of Prometheus, version 0.0.4. */
  text(): Promise<string> {
    return this.#register.metrics();
  }

  #counter<T extends string>(name: string, help: string, labelNames: T[]): Counter<T> {
    return new Counter({ name, help, labelNames, registers: [this.#register] });
  }

  #histogram<T extends string>(name: string, help: string, buckets: number[], labelNames: T[] = []): Histogram<T> {
    return new Histogram({ name, help, buckets, labelNames, registers: [this.#register] });
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#register],
      collect() {
        this.set(read());
      },
    });
  }
}
