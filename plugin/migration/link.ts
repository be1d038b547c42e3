import { Readable } from 'node:stream';
import type { Peer, PeerRoutes } from '../agent/peer.ts';

/** What is sent to see how fast it goes, bytes: one after the other, until one takes long enough to say something. */
const PIECES = [64 << 10, 256 << 10, 1 << 20, 4 << 20] as const;
/** From when on, ms: what the two hosts do beside it weighs little then. */
const TELLING_MS = 10;
/** How long a piece may take, ms. */
const PATIENCE_MS = 2_000;
const PATH = '/v1/moves/link';

/** How long the other side saw bytes come, ms, and how many beside those it saw first. */
interface Seen {
  bytes: number;
  ms: number;
}

/**
 * What the link to a peer carries, bytes a second, as the agents use it: encrypted, by one connection, which has to gather speed. Takes some
 * milliseconds where it is fast, and `PATIENCE_MS` at most.
 *
 * @returns nothing where it is too fast to be told, or the peer cannot say
 */
export async function measureLink(peer: Pick<Peer, 'upload'>): Promise<number | undefined> {
  let rate: number | undefined;
  for (const size of PIECES) {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    try {
      const { bytes, ms } = await peer.upload<Seen>(PATH, Readable.from([Buffer.alloc(size)]), { signal });
      rate = ms > 0 ? (bytes / ms) * 1000 : undefined;
      if (ms >= TELLING_MS) return rate;
    } catch {
      return signal.aborted ? (size / PATIENCE_MS) * 1000 : undefined;
    }
  }
  return rate;
}

export function offerLink(routes: Pick<PeerRoutes, 'upload'>): void {
  routes.upload(PATH, watch);
}

async function watch(stream: Readable): Promise<Seen> {
  let first: number | undefined;
  let bytes = 0;
  for await (const piece of stream as AsyncIterable<Buffer>) {
    if (first === undefined) first = performance.now();
    else bytes += piece.length;
  }
  return { bytes, ms: first === undefined ? 0 : performance.now() - first };
}
