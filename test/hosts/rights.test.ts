import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../driver/host/run.ts';
import { until } from '../../driver/host/until.ts';
import { takeDown } from '../../lab/destroy.ts';
import type { LabHost } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import { netnsName } from '../../lab/places.ts';
import type { Listing, NewToken, Status } from '../../plugin/agent/api.ts';
import type { Identity } from '../../plugin/agent/cluster/identity.ts';
import { deleteRequest, putRequest } from '../../plugin/agent/etcd/messages.ts';
import { DEFAULT_PORT } from '../../plugin/agent/settings.ts';
import type { Answers, Questions } from '../support/as-host.ts';
import { coat, docker, hasNetwork, hostsWithoutCluster, PATIENCE_MS, reaches, refused } from '../support/own-hosts.ts';
import { ownLab } from '../support/own-lab.ts';

/** A lab of its own, in which hosts join and leave. One file is one story, told in order. */
const NAME = ownLab('rights');
const IMAGE = 'coat-lab/workloads';
const ROOT = join(import.meta.dirname, '../..');

let lab: Lab;
let h1: LabHost;
let h2: LabHost;
let h3: LabHost;

beforeAll(async () => {
  lab = await hostsWithoutCluster(NAME);
  [h1, h2, h3] = [lab.host('h1'), lab.host('h2'), lab.host('h3')];
});
afterAll(() => takeDown(NAME));

const identityOf = async (host: LabHost): Promise<Identity> => JSON.parse(await readFile(join(host.root, 'var/lib/coat/identity.json'), 'utf8')) as Identity;
/** Where each address is, as a host sees it. */
const places = async (host: LabHost): Promise<Record<string, string>> => Object.fromEntries((await coat<Listing>(host, 'ls')).endpoints.map(({ ip, host: place }) => [ip, place]));

/** What a host's root asks of etcd at h1, without its agent. */
async function asRootOf(host: LabHost, calls: Questions['calls']): Promise<Answers> {
  const { me } = await identityOf(h1);
  const questions: Questions = { identity: join(host.root, 'var/lib/coat/identity.json'), keeper: me, port: DEFAULT_PORT, calls };
  const { stdout } = await run(['ip', 'netns', 'exec', netnsName(NAME, host.name), process.execPath, '--import', 'tsx', join(ROOT, 'test/support/as-host.ts'), JSON.stringify(questions)], { timeout: PATIENCE_MS });
  return JSON.parse(stdout) as Answers;
}

const put = (key: string, value: unknown): [string, unknown] => ['/v3/kv/txn', putRequest([{ key, value, expected: 'any' }])];
const remove = (key: string): [string, unknown] => ['/v3/kv/txn', deleteRequest(key, 'any')];

const SHOP = '10.60.0.0-24';
const claim = (ip: string, more: object): object => ({ network: SHOP, ip, epoch: 1, ...more });

test('hosts that do not keep the store make networks, run containers and move them', async () => {
  await coat(h1, 'init');
  await coat(h2, 'join', (await coat<NewToken>(h1, 'token')).token);
  await coat(h3, 'join', (await coat<NewToken>(h2, 'token')).token);
  await docker(h2, 'network', 'create', '-d', 'coat', '--ipam-driver', 'coat', '--ipv6', '--subnet', '10.60.0.0/24', '--subnet', 'fd00:60::/64', '--aux-address', 'printer=10.60.0.9', 'shop');
  await docker(h3, 'network', 'create', '-d', 'coat', '--ipam-driver', 'coat', 'chosen');
  for (const host of [h1, h2, h3]) await until('both networks', async () => (await hasNetwork(host, 'shop')) && (await hasNetwork(host, 'chosen')), { timeout: PATIENCE_MS });
  await docker(h3, 'run', '-d', '--name', 'one', '--network', 'shop', '--ip', '10.60.0.11', IMAGE, 'sleep', '3600');
  await docker(h2, 'run', '-d', '--name', 'two', '--network', 'shop', IMAGE, 'sleep', '3600');
  await docker(h2, 'run', '-d', '--name', 'named', '--network', 'shop', '--mac-address', '02:11:22:33:44:55', IMAGE, 'sleep', '3600');
  await docker(h2, 'coat', 'migrate', 'two', 'h3');
  await docker(h3, 'coat', 'migrate', 'two', 'h2');
  await docker(h2, 'coat', 'migrate', 'two', 'h1');
  await docker(h1, 'coat', 'migrate', 'two', 'h2');
  await until('two to reach one', () => reaches(h2, 'two', '10.60.0.11'), { timeout: PATIENCE_MS });
  await docker(h2, 'restart', '-t', '1', 'two');
  await docker(h2, 'rm', '--force', 'named');
  await docker(h2, 'network', 'rm', 'chosen');
  for (const host of [h1, h2, h3]) await until('the other network to be gone', async () => !(await hasNetwork(host, 'chosen')), { timeout: PATIENCE_MS });
  await until('all to reach one', () => reaches(h2, 'two', '10.60.0.11'), { timeout: PATIENCE_MS });
});

test('the root of a host writes what is its own, and is refused all else with a sentence', async () => {
  const before = await places(h1);
  const mac = (await docker(h3, 'inspect', '--format', '{{.NetworkSettings.Networks.shop.MacAddress}}', 'one')).toLowerCase();
  const [third, second] = [(await identityOf(h3)).me, (await identityOf(h2)).me];
  const wrong: [string, unknown, RegExp][] = [
    [...put(`claims/${SHOP}/10.60.0.11`, claim('10.60.0.11', { host: 'h2', epoch: 9, mac })), /the address 10.60.0.11 is host h3's/],
    [...put(`claims/${SHOP}/10.60.0.11`, claim('10.60.0.11', { host: 'h3', redirect: 'h2', mac })), /the address 10.60.0.11 is host h3's/],
    [...remove(`claims/${SHOP}/10.60.0.11`), /the address 10.60.0.11 is host h3's/],
    [...put(`claims/${SHOP}/10.60.0.77`, claim('10.60.0.77', { host: 'h2', mac })), /the MAC .* belongs to 10.60.0.11 on host h3/],
    [...put(`claims/${SHOP}/10.60.0.1`, claim('10.60.0.1', { host: 'h2' })), /no address for a container/],
    [...put(`networks/${SHOP}`, {}), /no network of that subnet/],
    [...remove(`networks/${SHOP}`), /containers have addresses in the network shop/],
    [...put('hosts/h3', { ...third, key: second.key }), /not host h2's/],
    [...remove('hosts/h3'), /not host h2's/],
    [...put('hosts/h2', { ...second, store: 'member' }), /who keeps the store/],
    [...put('door', { last: 'h2' }), /only by hosts that keep the store/],
    [...put('tokens/x', { expires: 0 }), /no token/],
    ['/v3/cluster/member/list', {}, /not for hosts that do not keep the store/],
  ];
  const answers = await asRootOf(h2, wrong.map(([path, body]) => [path, body]));
  expect(answers).toEqual(wrong.map(([, , why]) => ({ code: 'store-refused', refused: expect.stringMatching(why) as string })));
  expect(await places(h1)).toEqual(before);
  expect(await reaches(h2, 'two', '10.60.0.11')).toBe(true);

  const own = await asRootOf(h2, [put(`claims/${SHOP}/10.60.0.77`, claim('10.60.0.77', { host: 'h2' })), remove(`claims/${SHOP}/10.60.0.77`)]);
  expect(own).toEqual([{ answer: expect.objectContaining({ succeeded: true }) as unknown }, { answer: expect.objectContaining({ succeeded: true }) as unknown }]);
});

test('who keeps the store may do more, and is as before when it does not any more', async () => {
  await coat(h1, 'promote', 'h2');
  await until('the store on h2', async () => (await coat<Status>(h2, 'status')).store.state === 'ok', { timeout: PATIENCE_MS });
  await coat(h1, 'demote', 'h2');
  await until('h2 to have forgotten the key', async () => (await identityOf(h2)).authorityKey === undefined, { timeout: PATIENCE_MS });
  await until('h2 to be refused', async () => {
    const [answer] = await asRootOf(h2, [remove('hosts/h3')]);
    return answer !== undefined && 'refused' in answer && /not host h2's/.test(answer.refused);
  }, { timeout: PATIENCE_MS });
  await docker(h2, 'run', '-d', '--name', 'three', '--network', 'shop', IMAGE, 'sleep', '3600');
  await docker(h2, 'rm', '--force', 'three');
});

test('any host has a dead one removed, and none that lives', async () => {
  expect(await refused(h2, 'rm', 'h3')).toBe('host-lives');
  expect(await refused(h2, 'rm', '--force', 'h3')).toBe('keeps-not');
  expect(await refused(h2, 'rm', 'h1')).toBe('keeps-not');
  expect(await refused(h2, 'rm', 'h9')).toBe('unknown-host');
  await lab.kill('h3');
  await coat(h2, 'rm', 'h3');
  expect((await coat<Status>(h1, 'status')).hosts.map(({ name }) => name)).toEqual(['h1', 'h2']);
  expect(Object.values(await places(h1))).not.toContain('h3');
  await docker(h2, 'run', '-d', '--name', 'four', '--network', 'shop', '--ip', '10.60.0.11', IMAGE, 'sleep', '3600');

  // its certificate is good for long
  await lab.start('h3');
  const [answer] = await asRootOf(h3, [put(`claims/${SHOP}/10.60.0.78`, claim('10.60.0.78', { host: 'h3' }))]);
  expect(answer).toMatchObject({ code: 'store-away' });
});

test('a host leaves, and takes what is its own with it', async () => {
  await docker(h2, 'rm', '--force', 'two', 'four');
  await coat(h2, 'leave');
  await until('h1 to be alone', async () => (await coat<Status>(h1, 'status')).hosts.length === 1, { timeout: PATIENCE_MS });
  expect(Object.values(await places(h1))).toEqual([]);
});
