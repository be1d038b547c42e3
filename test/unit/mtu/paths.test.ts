import fc from 'fast-check';
import { expect, test } from 'vitest';
import { silent } from '../../../driver/host/log.ts';
import { narrowPaths } from '../../../plugin/agent/mtu/judge.ts';
import { PathMtus } from '../../../plugin/agent/mtu/paths.ts';
import { largest } from '../../../plugin/agent/mtu/search.ts';

test('the largest size is found, whatever it is, in few rounds', async () => {
  await fc.assert(fc.asyncProperty(fc.integer({ min: 576, max: 9_000 }), async (real) => {
    let asked = 0;
    const found = await largest(576, 9_000, (bytes) => {
      asked += 1;
      return Promise.resolve(bytes <= real);
    });
    expect(found).toBe(real);
    expect(asked).toBeLessThan(45);
  }));
});

test('a path that carries nothing has no size', async () => {
  expect(await largest(576, 1_500, () => Promise.resolve(false))).toBeUndefined();
});

test('what the largest network sends decides, and all that suffer are named', () => {
  const hosts = [{ name: 'h1', address: '192.0.2.1' }, { name: 'h2', address: '192.0.2.2', carries: 1_400 }, { name: 'h3', address: '192.0.2.3', carries: 1_500 }];
  const found = narrowPaths(hosts, [{ name: 'small', mtu: 1_350 }, { name: 'shop', mtu: 1_400 }, { name: 'wide', mtu: 1_450 }]);
  expect(found).toEqual([{
    check: 'MTU',
    state: 'problem',
    found: 'the path to h2 carries 1400 bytes, networks wide, shop send up to 1500 (1450 and 50 of VXLAN): connections may hang',
    remedy: expect.stringContaining('-o mtu=1350') as string,
  }]);
});

test('a path is looked at again, and one that is not there any more is forgotten', async () => {
  let [peers, size] = [[{ name: 'h2', address: '192.0.2.2' }], 1_500 as number | undefined];
  const paths = new PathMtus({ peers: () => peers, measure: () => Promise.resolve(size), log: silent });
  await paths.look();
  expect(paths.to('192.0.2.2')).toBe(1_500);
  size = 1_400;
  await paths.look();
  expect(paths.to('192.0.2.2')).toBe(1_400);
  size = undefined;
  await paths.look();
  expect(paths.to('192.0.2.2')).toBeUndefined();
  [peers, size] = [[{ name: 'h3', address: '192.0.2.3' }], 1_280];
  paths.peersMayHaveChanged();
  await expect.poll(() => paths.to('192.0.2.3')).toBe(1_280);
  paths.stop();
});

test('a peer that comes while others are looked at is looked at as well', async () => {
  const peers = [{ name: 'h2', address: '192.0.2.2' }];
  let answer: (bytes: number) => void = () => undefined;
  const slow = new Promise<number>((resolve) => (answer = resolve));
  const paths = new PathMtus({ peers: () => peers, measure: (address) => (address === '192.0.2.2' ? slow : Promise.resolve(1_280)), log: silent });
  const first = paths.look();
  peers.push({ name: 'h3', address: '192.0.2.3' });
  paths.peersMayHaveChanged();
  answer(1_500);
  await first;
  expect([paths.to('192.0.2.2'), paths.to('192.0.2.3')]).toEqual([1_500, 1_280]);
  paths.stop();
});
