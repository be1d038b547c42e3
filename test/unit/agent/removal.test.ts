import { expect, test } from 'vitest';
import { removeAsked } from '../../../plugin/agent/networks/remove.ts';
import type { NetworkDetails } from '../../../plugin/agent/api.ts';
import type { EngineNetworks } from '../../../plugin/engine/networks.ts';

const network = (endpoints: NetworkDetails['endpoints']): NetworkDetails => ({ name: 'shop', subnet: '10.42.0.0/24', gateway: '10.42.0.1', vni: 1, mtu: 1450, internal: false, options: {}, reserved: [], endpoints });
const on = (ip: string, container?: string): NetworkDetails['endpoints'][number] => ({ ip, host: 'h1', names: [], ...(container !== undefined && { container }) });

/** An engine that has the network, and notes what is removed. */
function engine(subnet = '10.42.0.0/24'): { removed: string[]; engine: EngineNetworks } {
  const removed: string[] = [];
  const has = { list: async () => [{ id: 'other', name: 'bridge', ours: false, subnet }, { id: 'abc', name: 'shop', ours: true, subnet }], remove: async (id: string) => void removed.push(id) };
  return { removed, engine: has as unknown as EngineNetworks };
}

test.each(['shop', '10.42.0.0/24'])('%s, which nobody uses, is removed', async (name) => {
  const { removed, engine: its } = engine();
  await removeAsked(its, [network([])], name);
  expect(removed).toEqual(['abc']);
});

test('one in use says by whom, and is not touched', async () => {
  const { removed, engine: its } = engine();
  const users = [on('10.42.0.2', 'redis'), on('10.42.0.3'), on('10.42.0.4', 'web'), on('10.42.0.5', 'db')];
  await expect(removeAsked(its, [network(users)], 'shop')).rejects.toMatchObject({ code: 'network-in-use', message: 'the network shop is in use by redis on h1, 10.42.0.3 on h1, web on h1 and 1 more' });
  expect(removed).toEqual([]);
});

test('one that nobody knows, or that this engine does not have, is none', async () => {
  await expect(removeAsked(engine().engine, [network([])], 'bridge')).rejects.toMatchObject({ code: 'no-network' });
  await expect(removeAsked(engine('10.43.0.0/24').engine, [network([])], 'shop')).rejects.toMatchObject({ code: 'no-network' });
});
