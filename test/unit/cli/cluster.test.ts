import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { coat, FakeAgent, json } from './support.ts';

const entered = { name: 'beta', address: '192.0.2.2', hosts: [{ name: 'alpha', address: '192.0.2.1' }, { name: 'beta', address: '192.0.2.2' }] };
const routes = {
  'POST /v1/cluster/init': json({ ...entered, hosts: entered.hosts.slice(1) }),
  'POST /v1/cluster/join': json(entered),
  'POST /v1/cluster/token': json({ token: 'coat1.abc', expires: Date.UTC(2030, 0, 2, 3, 4, 5) }),
  'POST /v1/cluster/leave': json({}),
  'POST /v1/cluster/promote': json({ hosts: ['alpha', 'beta'], advice: 'promote one more' }),
  'POST /v1/cluster/demote': json({ hosts: ['alpha'] }),
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
  ['promote beta', { host: 'beta' }, /^beta keeps the store now, with alpha\.\n$/],
  ['demote beta', { host: 'beta' }, /^beta does not keep the store any more; alpha does\.\n$/],
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

test('the files of an etcd are read where the command runs', async () => {
  await using agent = await FakeAgent.listen(routes);
  const directory = await mkdtemp(join(tmpdir(), 'coat-cli-'));
  const [ca, cert] = [join(directory, 'ca.pem'), join(directory, 'cert.pem')];
  for (const path of [ca, cert]) await writeFile(path, `what ${path} has`);
  try {
    const init = ['coat', 'init', '--name', 'beta', '--store', 'https://a:2379, https://b:2379'];
    expect(await coat([...init, '--store-ca', ca, '--store-cert', cert, '--store-key', cert], agent)).toMatchObject({ code: 0 });
    expect(agent.asked.map(({ body }) => body)).toEqual([
      { name: 'beta', store: { urls: ['https://a:2379', 'https://b:2379'], ca: `what ${ca} has`, certificate: `what ${cert} has`, key: `what ${cert} has` } },
    ]);
    expect(await coat([...init, '--store-cert', cert], agent)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^a certificate and its key go together/) as string });
    expect(await coat([...init, '--store-ca', '/nowhere'], agent)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^\/nowhere cannot be read/) as string });
    expect(await coat(['coat', 'init', '--store-ca', ca], agent)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^a certificate without an etcd/) as string });
    expect(agent.asked).toHaveLength(1);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('a number of hosts that is none to stay at is a warning', async () => {
  await using agent = await FakeAgent.listen(routes);
  expect(await coat(['coat', 'promote', 'beta'], agent)).toMatchObject({ code: 0, stderr: 'promote one more\n' });
  expect(await coat(['coat', 'demote', 'beta'], agent)).toMatchObject({ code: 0, stderr: '' });
});

test('what is refused is said, and so is a time that is none', async () => {
  await using agent = await FakeAgent.listen(routes);
  expect(await coat(['coat', 'rm', 'beta'], agent)).toMatchObject({ code: 1, stdout: '', stderr: 'host beta answers\nleave there\n' });
  expect(await coat(['coat', 'token', '--ttl', '1w'], agent)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^"1w" is not how long/) as string });
  expect(agent.asked.map(({ body }) => body)).toEqual([{ host: 'beta', force: false }]);
});
