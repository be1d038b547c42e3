import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import type { Peer } from '../../../plugin/agent/peer.ts';
import { measureLink, offerLink } from '../../../plugin/migration/link.ts';

/** What a peer does with what is sent. */
let handler: (body: Readable, query: URLSearchParams, from: string) => Promise<unknown>;
offerLink({ upload: (_path, given) => (handler = given) });

/** A peer behind a link that carries so much, bytes a second, in pieces of a TLS record; and what was sent to it. */
function peerAt(rate: number): { peer: Pick<Peer, 'upload'>; sent: number[] } {
  const sent: number[] = [];
  const upload = async <T>(_path: string, body: Readable, { signal }: { signal?: AbortSignal } = {}): Promise<T> => {
    const data = Buffer.concat((await body.toArray()) as Buffer[]);
    sent.push(data.length);
    async function* arriving(): AsyncGenerator<Buffer> {
      const began = performance.now();
      for (let at = 0; at < data.length; at += 16_384) {
        const due = began + (at / rate) * 1000;
        while (performance.now() < due) {
          signal?.throwIfAborted();
          await new Promise((resolve) => setTimeout(resolve, Math.min(20, due - performance.now())));
        }
        yield data.subarray(at, at + 16_384);
      }
    }
    return (await handler(Readable.from(arriving()), new URLSearchParams(), 'h1')) as T;
  };
  return { peer: { upload }, sent };
}

test('a slow link is known by the first piece', async () => {
  const { peer, sent } = peerAt(1e6);
  const rate = await measureLink(peer);
  expect(rate).toBeGreaterThan(0.5e6);
  expect(rate).toBeLessThan(1.1e6);
  expect(sent).toEqual([65_536]);
});

test('a quicker one by more', async () => {
  const { peer, sent } = peerAt(20e6);
  const rate = await measureLink(peer);
  expect(rate).toBeGreaterThan(5e6);
  expect(rate).toBeLessThan(21e6);
  expect(sent.length).toBeGreaterThan(1);
});

test('one that carries next to nothing is not waited for', async () => {
  const rate = await measureLink(peerAt(1_000).peer);
  expect(rate).toBeLessThan(50_000);
});

test('of a peer that cannot say nothing is known', async () => {
  expect(await measureLink({ upload: () => Promise.reject(new Error('no such path')) })).toBeUndefined();
});
