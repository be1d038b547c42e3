import { expect, test } from 'vitest';
import { coat, FakeAgent, json } from './support.ts';

const plain = { name: 'shop', subnets: [], gateways: [], ipv6: false, internal: false, options: {} };

test.each([
  ['shop', plain],
  ['--subnet 10.42.0.0/24 shop', { ...plain, subnets: ['10.42.0.0/24'] }],
  ['--ipv6 --internal --subnet 10.42.0.0/24 --subnet fd00::/64 --gateway 10.42.0.9 -o mtu=1400 --opt multicast=off shop', { name: 'shop', subnets: ['10.42.0.0/24', 'fd00::/64'], gateways: ['10.42.0.9'], ipv6: true, internal: true, options: { mtu: '1400', multicast: 'off' } }],
])('docker coat network create %s', async (line, body) => {
  await using agent = await FakeAgent.listen({ 'POST /v1/networks': json({ id: 'abc' }) });
  const { code, stdout } = await coat(['coat', 'network', 'create', ...line.split(' ')], agent);
  expect([code, agent.asked.map((each) => each.body), stdout]).toEqual([0, [body], 'abc\n']);
});

test('a network that is refused is told why', async () => {
  await using agent = await FakeAgent.listen({ 'POST /v1/networks': json({ code: 'engine-refused', message: 'the network shop was not created: it exists', hint: 'look' }, 500) });
  expect(await coat(['coat', 'network', 'create', 'shop'], agent)).toMatchObject({ code: 1, stdout: '' });
});
