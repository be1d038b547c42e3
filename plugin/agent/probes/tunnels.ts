import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { CoatError } from '../../../driver/host/errors.ts';
import { until } from '../../../driver/host/until.ts';
import { familyOf } from '../../../driver/ipam/address.ts';
import type { Kernel } from '../../../driver/kernel/kernel.ts';
import { parse } from '../../migration/protocol.ts';
import type { Peer, PeerRoutes, Peers } from '../peer.ts';
import { ProbeCounters, type Counts } from './counters.ts';
import { probeFrame } from './frame.ts';

/** How often a frame is sent, so that one that got lost proves nothing, and what lies between, ms. */
const FRAMES = 3;
const BETWEEN_MS = 30;
/** How long a frame is waited for that was sent, ms. */
const PATIENCE_MS = 1_000;
const PING_MS = 3_000;

const BEGIN = '/v1/tunnels/begin';
const END = '/v1/tunnels/end';
const Begin = z.object({ mark: z.number().int().min(0).max(0xffff_ffff) });

/** What became of frames from one host to another: whether they left it, came to the other one, and came through that one's firewall. */
export type Way = Record<keyof Counts, boolean>;

export interface TunnelTrial {
  there: Way;
  back: Way;
  /** Whether the other host's agent reaches this one's. */
  answered: boolean;
}

interface Answer extends Counts {
  answered: boolean;
}

export interface TunnelsOptions {
  kernel: Kernel;
  /** This host's, on the underlay. */
  address: string;
  /** UDP port of the tunnels. */
  port: number;
  peers: Peers;
}

/** Sends frames through the tunnels' port to another host and has some sent back, and sees how far they get. */
export class Tunnels {
  readonly #options: TunnelsOptions;
  /** Of each host that has begun: what it has sent, and is to get back. */
  readonly #begun = new Map<string, { mark: number; counters: ProbeCounters }>();

  constructor(options: TunnelsOptions) {
    this.#options = options;
  }

  offer(routes: PeerRoutes): void {
    routes.call(BEGIN, async (body, from) => {
      const { mark } = parse(Begin, body);
      await this.#begun.get(from)?.counters[Symbol.asyncDispose]();
      this.#begun.set(from, { mark, counters: await this.#count(mark) });
      return {};
    });
    routes.call(END, async (_body, from): Promise<Answer> => {
      const begun = this.#begun.get(from);
      if (!begun) throw new CoatError('no-probe', `host ${from} has begun no probe`);
      this.#begun.delete(from);
      await using counters = begun.counters;
      const peer = this.#options.peers.get(from);
      await this.#send(peer.address, begun.mark);
      const answered = await peer.call('/v1/ping', {}, { timeout: PING_MS }).then(() => true, () => false);
      return { ...(await readSoon(counters)), answered };
    });
  }

  /** @throws CoatError where the other agent does not answer */
  async try(peer: Peer): Promise<TunnelTrial> {
    const mark = randomInt(2 ** 32);
    await using counters = await this.#count(mark);
    await peer.call(BEGIN, { mark });
    await this.#send(peer.address, mark);
    const theirs = await peer.call<Answer>(END, {});
    const mine = await readSoon(counters);
    const way = (from: Counts, to: Counts): Way => ({ left: from.left > 0, arrived: to.arrived > 0, passed: to.passed > 0 });
    return { there: way(mine, theirs), back: way(theirs, mine), answered: theirs.answered };
  }

  #count(mark: number): Promise<ProbeCounters> {
    return ProbeCounters.open(this.#options.kernel, mark, this.#options.port);
  }

  async #send(to: string, mark: number): Promise<void> {
    const socket = createSocket(`udp${familyOf(to)}`);
    try {
      socket.bind(0, this.#options.address);
      await once(socket, 'listening');
      for (let i = 0; i < FRAMES; i += 1) {
        // what is not let out fails here, and is not counted as having left
        await new Promise<void>((resolve) => void socket.send(probeFrame(mark), this.#options.port, to, () => resolve()));
        await sleep(BETWEEN_MS);
      }
    } finally {
      socket.close();
    }
  }
}

/** What was counted when all has come, or when nothing more will. */
async function readSoon(counters: ProbeCounters): Promise<Counts> {
  let counts = await counters.read();
  await until('the frames', async () => (counts = await counters.read()).passed > 0, { timeout: PATIENCE_MS, every: 50 }).catch(() => undefined);
  return counts;
}
