import { hostname } from 'node:os';
import { expect, test } from 'vitest';
import { coat, FakeAgent, json } from './support.ts';

const entered = { name: 'beta', address: '192.0.2.2', hosts: [{ name: 'alpha', address: '192.0.2.1' }, { name: 'beta', address: '192.0.2.2' }] };
const routes = {
  'POST /v1/cluster/init': json({ ...entered, hosts: entered.hosts.slice(1) }),
  'POST /v1/cluster/join': json(entered),
  'POST /v1/cluster/token': json({ token: 'coat1.abc', expires: Date.UTC(2030, 0, 2, 3, 4, 5) }),
  'POST /v1/cluster/leave': json({}),
  'POST /v1/cluster/remove': json({ code: 'host-lives', message: 'host beta answers', hint: 'leave there' }, 400),
};
const ownName = hostname().split('.')[0]!.toLowerCase();

test.each([
  ['init', { name: ownName }, /^beta \(192\.0\.2\.2\) is the first host of a new cluster\.\n/],
  ['init --name beta --address 192.0.2.2', { name: 'beta', address: '192.0.2.2' }, /first host/],
  ['join coat1.abc --name beta', { token: 'coat1.abc', name: 'beta' }, /^beta \(192\.0\.2\.2\) has joined the cluster of alpha\.\n$/],
  ['token', { ttl: 3_600_000 }, /^coat1\.abc\n$/],
  ['token --ttl 2d', { ttl: 172_800_000 }, /^coat1\.abc\n$/],
  ['leave', { force: false }, /^This host has left its cluster\.\n$/],
  ['leave --force', { force: true }, /left/],
])('docker coat %s', async (line, body, said) => {
  await using agent = await FakeAgent.listen(routes);
  const { code, stdout } = await coat(['coat', ...line.split(' ')], agent);
  expect([code, agent.asked.map((each) => each.body)]).toEqual([0, [body]]);
  expect(stdout).toMatch(said);
});

test('a token goes to standard output alone, so that a script can take it', async () => {
  await using agent = await FakeAgent.listen(routes);
  expect(await coat(['coat', 'token'], agent)).toMatchObject({ stdout: 'coat1.abc\n', stderr: 'It lets one host in, until 2030-01-02T03:04:05Z: docker coat join TOKEN\n' });
});

test('what is refused is said, and so is a time that is none', async () => {
  await using agent = await FakeAgent.listen(routes);
  expect(await coat(['coat', 'rm', 'beta'], agent)).toMatchObject({ code: 1, stdout: '', stderr: 'host beta answers\nleave there\n' });
  expect(await coat(['coat', 'token', '--ttl', '1w'], agent)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^"1w" is not how long/) as string });
  expect(agent.asked.map(({ body }) => body)).toEqual([{ host: 'beta', force: false }]);
});
