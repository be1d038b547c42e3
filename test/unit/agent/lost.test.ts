import { expect, test } from 'vitest';
import { silent } from '../../../driver/host/log.ts';
import { LostEndpoints } from '../../../plugin/agent/networks/lost.ts';

const one = { id: 'e1', networkId: 'n1', ip: '10.42.0.2' };
const other = { id: 'e2', networkId: 'n2', ip: '10.43.0.2' };

function world() {
  const attached: Record<string, string[] | Error> = { n1: ['e1'], n2: ['e2'] };
  const discarded: string[] = [];
  const known = [one, other];
  let now = 0;
  const lost = new LostEndpoints({
    engine: {
      attached: async (id) => {
        const there = attached[id]!;
        if (there instanceof Error) throw there;
        return there.map((endpoint) => ({ container: 'c', names: [], ip: '', endpoint }));
      },
    },
    endpoints: () => known,
    discard: async (id) => void discarded.push(id),
    log: silent,
    now: () => now,
  });
  return { attached, discarded, known, look: (at: number) => ((now = at), lost.look()) };
}

test('an endpoint is lost when the engine has not known it for a while, and only that one', async () => {
  const { attached, discarded, look } = world();
  expect(await look(0)).toBe(false);
  attached['n1'] = [];
  expect(await look(1_000)).toBe(true);
  expect(await look(14_000)).toBe(true);
  expect(discarded).toEqual([]);
  expect(await look(16_000)).toBe(false);
  expect(discarded).toEqual(['e1']);
});

test('one that turns up meanwhile, as between its creation and its join, is not', async () => {
  const { attached, discarded, look } = world();
  attached['n1'] = [];
  await look(0);
  attached['n1'] = ['e1'];
  await look(14_000);
  attached['n1'] = [];
  await look(20_000);
  await look(30_000);
  expect(discarded).toEqual([]);
});

test('an engine that does not answer has lost nothing', async () => {
  const { attached, discarded, look } = world();
  attached['n1'] = new Error('engine away');
  attached['n2'] = [];
  await look(0);
  await look(60_000);
  expect(discarded).toEqual(['e2']);
});
