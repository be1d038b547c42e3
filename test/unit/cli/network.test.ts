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

test('docker coat network rm removes each, up to the first that is refused', async () => {
  await using agent = await FakeAgent.listen({ 'POST /v1/networks/remove': json({}) });
  expect(await coat(['coat', 'network', 'rm', 'shop', '10.43.0.0/24'], agent)).toMatchObject({ code: 0, stdout: 'shop\n10.43.0.0/24\n' });
  expect(agent.asked.map(({ body }) => body)).toEqual([{ name: 'shop' }, { name: '10.43.0.0/24' }]);
  await using other = await FakeAgent.listen({ 'POST /v1/networks/remove': json({ code: 'network-in-use', message: 'the network shop is in use by redis on h1', hint: 'remove it' }, 409) });
  expect(await coat(['coat', 'network', 'rm', 'shop', 'more'], other)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/in use by redis on h1/) as string });
  expect(other.asked).toHaveLength(1);
});

test('a network that is refused is told why', async () => {
  await using agent = await FakeAgent.listen({ 'POST /v1/networks': json({ code: 'engine-refused', message: 'the network shop was not created: it exists', hint: 'look' }, 500) });
  expect(await coat(['coat', 'network', 'create', 'shop'], agent)).toMatchObject({ code: 1, stdout: '' });
});
