import 'reflect-metadata';
import { webcrypto, X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { takeDown } from '../../lab/destroy.ts';
import type { LabHost } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import type { Entered, Listing, NewToken, Status, StoreHosts } from '../../plugin/agent/api.ts';
import { issue, repeatRequest } from '../../plugin/agent/cluster/certificates.ts';
import type { Identity } from '../../plugin/agent/cluster/identity.ts';
import { coat, docker, hasNetwork, hostsWithoutCluster, PATIENCE_MS, reaches, refused } from '../support/own-hosts.ts';
import { ownLab } from '../support/own-lab.ts';

/** A lab of its own: its agents belong to no cluster at the beginning. One file is one story, told in order. */
const NAME = ownLab('cluster');
const IMAGE = 'coat-lab/workloads';

let lab: Lab;
let h1: LabHost;
let h2: LabHost;
let h3: LabHost;

beforeAll(async () => {
  lab = await hostsWithoutCluster(NAME);
  [h1, h2, h3] = [lab.host('h1'), lab.host('h2'), lab.host('h3')];
});
afterAll(() => takeDown(NAME));

const status = (host: LabHost): Promise<Status> => coat<Status>(host, 'status');
const newToken = async (ttl = '1h', host = h1): Promise<string> => (await coat<NewToken>(host, 'token', '--ttl', ttl)).token;
/** Who keeps the store, as a host sees it. */
const keepers = async (host: LabHost): Promise<string[]> => (await coat<Listing>(host, 'ls')).hosts.filter(({ store }) => store === 'member').map(({ name }) => name);

test('a host without a cluster says so, to docker and to people', async () => {
  expect(await refused(h1, 'status')).toBe('not-configured');
  expect(await refused(h1, 'token')).toBe('not-configured');
  const { stderr } = await h1.exec(['docker', 'network', 'create', '-d', 'coat', '--ipam-driver', 'coat', '--subnet', '10.60.0.0/24', 'shop'], { okCodes: [1] });
  expect(stderr).toMatch(/belongs to no coat cluster.*docker coat init/);
});

test('the first host founds a cluster, once', async () => {
  expect(await refused(h1, 'init', '--name', 'H_1')).toBe('bad-name');
  expect(await refused(h1, 'init', '--address', '192.0.2.1')).toBe('bad-address');
  expect(await coat<Entered>(h1, 'init')).toMatchObject({ name: 'h1', address: h1.address });
  expect(await refused(h1, 'init')).toBe('in-cluster');
  const { stdout } = await h1.exec(['stat', '-c', '%a %U', '/var/lib/coat/identity.json']);
  expect(stdout.trim()).toBe('600 root');
  expect((await status(h1)).store.state).toBe('ok');
});

let token: string;

test('a host joins with a token, and is not let in by one that is bad', async () => {
  const short = await coat<NewToken>(h1, 'token', '--ttl', '1s');
  token = await newToken();
  await until('the short token to be over', () => Date.now() > short.expires);
  expect(await refused(h2, 'join', short.token)).toBe('token-expired');
  expect(await refused(h2, 'join', 'coat1.nonsense')).toBe('bad-token');
  expect(await refused(h2, 'join', withSecret(token, 'a secret of nobody'))).toBe('token-unknown');
  expect(await refused(h2, 'join', withFingerprint(token, '0'.repeat(64)))).toBe('wrong-cluster');
  // a certificate of the cluster is not enough to be told the secret
  expect(await refused(h2, 'join', withHosts(token, [[h1.address, '0'.repeat(64)]]))).toBe('wrong-host');
  // what can be put right costs no token
  expect(await refused(h2, 'join', token, '--name', 'h1')).toBe('name-taken');
  expect(await refused(h2, 'join', token, '--address', h1.address)).toBe('bad-address');

  const entered = await coat<Entered>(h2, 'join', token);
  expect(entered).toMatchObject({ name: 'h2', address: h2.address });
  expect(entered.hosts.map(({ name }) => name)).toEqual(['h1', 'h2']);
  expect(await refused(h2, 'join', token)).toBe('in-cluster');
  for (const host of [h1, h2]) expect((await status(host)).hosts.map(({ name, reachable }) => [name, reachable])).toEqual([['h1', true], ['h2', true]]);
});

test('containers of both hosts reach each other, and one moves', async () => {
  await docker(h1, 'network', 'create', '-d', 'coat', '--ipam-driver', 'coat', '--subnet', '10.60.0.0/24', 'shop');
  await until('the network on h2', async () => (await h2.exec(['docker', 'network', 'inspect', 'shop'], { okCodes: [0, 1] })).code === 0, { timeout: PATIENCE_MS });
  await docker(h1, 'run', '-d', '--name', 'one', '--network', 'shop', '--ip', '10.60.0.11', IMAGE, 'sleep', '3600');
  await docker(h2, 'run', '-d', '--name', 'two', '--network', 'shop', '--ip', '10.60.0.12', IMAGE, 'sleep', '3600');
  await until('one to reach two', () => reaches(h1, 'one', '10.60.0.12'), { timeout: PATIENCE_MS });
  await docker(h1, 'coat', 'migrate', 'one', 'h2');
  expect(await docker(h2, 'ps', '--filter', 'name=^/one$', '--format', '{{.State}}')).toBe('running');
  expect(await reaches(h2, 'one', '10.60.0.12')).toBe(true);
  await docker(h2, 'coat', 'migrate', 'one', 'h1');
  await until('two to reach one', () => reaches(h2, 'two', '10.60.0.11'), { timeout: PATIENCE_MS });
});

test('a certificate is renewed before it is over', async () => {
  const file = (host: LabHost): string => join(host.root, 'var/lib/coat/identity.json');
  const identityOf = async (host: LabHost): Promise<Identity> => JSON.parse(await readFile(file(host), 'utf8')) as Identity;
  const until90 = (identity: Identity): number => (Date.parse(new X509Certificate(identity.certificate).validTo) - Date.now()) / 86_400_000;
  const [first, old] = [await identityOf(h1), await identityOf(h2)];
  const soonOver = await issue({ certificate: first.authority, key: first.authorityKey! }, await repeatRequest('h2', old), 'h2', 5);
  await writeFile(file(h2), JSON.stringify({ ...old, certificate: soonOver }));
  await restartAgent(h2);
  const renewed = await until('a new certificate', async () => { const now = await identityOf(h2); return until90(now) > 80 && now; }, { timeout: PATIENCE_MS });
  expect(renewed.key).toBe(old.key);
  await until('h2 to be well', async () => (await status(h2)).hosts.every(({ reachable }) => reachable), { timeout: PATIENCE_MS });
});

test('an agent that starts while the store is away knows its cluster', async () => {
  await lab.cut('h1', 'h2');
  await restartAgent(h2);
  const alone = await status(h2);
  expect([alone.host, alone.store.state, alone.hosts.map(({ name }) => name)]).toEqual(['h2', 'away', ['h1', 'h2']]);
  await lab.heal();
  await until('the store', async () => (await status(h2)).store.state === 'ok', { timeout: PATIENCE_MS });
});

test('a host leaves when nothing of it is in use, and may join again', async () => {
  expect(await refused(h2, 'leave')).toBe('in-use');
  expect(await refused(h1, 'leave')).toBe('last-store');
  await docker(h2, 'rm', '--force', 'two');
  await coat(h2, 'leave');
  expect(await refused(h2, 'status')).toBe('not-configured');
  expect(await docker(h2, 'network', 'ls', '--filter', 'driver=coat', '--quiet')).toBe('');
  expect((await h2.exec(['ls', '/var/lib/coat'])).stdout.split('\n').filter((name) => /identity|members|driver/.test(name))).toEqual([]);
  await until('h1 to know', async () => (await status(h1)).hosts.length === 1, { timeout: PATIENCE_MS });
  // the network is the cluster's, and stays
  expect(await docker(h1, 'network', 'inspect', '--format', '{{.Driver}}', 'shop')).toBe('coat');

  expect(await refused(h2, 'join', token)).toBe('token-used');
  await coat(h2, 'join', await newToken());
  await until('the network on h2 again', async () => (await h2.exec(['docker', 'network', 'inspect', 'shop'], { okCodes: [0, 1] })).code === 0, { timeout: PATIENCE_MS });
});

test('three hosts keep the store, which outlives the first', async () => {
  // the second address is tried where nobody answers at the first
  await coat(h3, 'join', withHosts(await newToken(), (hosts) => [['10.255.255.1', '0'.repeat(64)], ...hosts]));
  expect(await refused(h2, 'promote', 'h3')).toBe('keeps-not');
  expect(await refused(h1, 'promote', 'h9')).toBe('unknown-host');
  expect(await refused(h1, 'promote', 'h1')).toBe('keeps-already');
  expect(await refused(h1, 'demote', 'h1')).toBe('last-store');
  expect(await coat<StoreHosts>(h1, 'promote', 'h2')).toEqual({ hosts: ['h1', 'h2'], advice: expect.stringMatching(/promote one more/) as string });
  expect(await coat<StoreHosts>(h2, 'promote', 'h3')).toEqual({ hosts: ['h1', 'h2', 'h3'] });
  expect((await h3.exec(['stat', '-c', '%a %U', '/var/lib/coat/identity.json'])).stdout.trim()).toBe('600 root');

  await lab.kill('h1');
  await until('a network without h1', () => docker(h2, 'network', 'create', '-d', 'coat', '--ipam-driver', 'coat', '--subnet', '10.61.0.0/24', 'later').catch(() => false as const), { timeout: PATIENCE_MS });
  await until('the network on h3', () => hasNetwork(h3, 'later'), { timeout: PATIENCE_MS });
  await docker(h3, 'run', '-d', '--name', 'four', '--network', 'later', '--ip', '10.61.0.14', IMAGE, 'sleep', '3600');
  expect(await refused(h2, 'demote', 'h3')).toBe('store-unwell');

  await lab.start('h1');
  await until('h1 to be as the others', async () => (await status(h1)).store.state === 'ok' && (await hasNetwork(h1, 'later')), { timeout: PATIENCE_MS });
  expect(await keepers(h1)).toEqual(['h1', 'h2', 'h3']);
});

test('an agent that dies on its way to keep the store goes on when it is back', async () => {
  await coat(h1, 'demote', 'h3');
  const before = await agentPid(h3);
  const promoted = h1.exec(['docker', 'coat', 'promote', 'h3', '--json'], { okCodes: [0, 1], timeout: 2 * PATIENCE_MS });
  const identity = join(h3.root, 'var/lib/coat/identity.json');
  await until('h3 to be on its way', async () => (await readFile(identity, 'utf8')).includes('"entering"'), { every: 2, timeout: PATIENCE_MS });
  // its agent first: Docker starts it again, and it goes on where it was
  await h3.exec(['kill', '-KILL', before]);
  expect((await promoted).code).toBe(0);
  await until('h3 to keep the store', async () => (await keepers(h2)).includes('h3') && /"store": "member"/.test(await readFile(identity, 'utf8')), { timeout: PATIENCE_MS });
});

test('a cluster does without its first host for good, and lets in', async () => {
  await lab.kill('h1');
  await until('h1 to be removed', () => coat(h2, 'rm', 'h1').catch(() => false as const), { timeout: PATIENCE_MS });
  expect(await keepers(h3)).toEqual(['h2', 'h3']);
  const fresh = await newToken('1h', h3);
  await lab.start('h1');
  await until('the agent of h1', async () => (await h1.exec(['docker', 'coat', 'version'], { okCodes: [0, 1] })).code === 0, { timeout: PATIENCE_MS });
  await until('h1 to be refused', async () => (await status(h1)).hosts.some(({ problem }) => /does not take this one for a host/.test(problem ?? '')), { timeout: PATIENCE_MS });
  expect((await status(h1)).store.state).toBe('away');
  await docker(h1, 'rm', '--force', 'one');
  await coat(h1, 'leave', '--force');
  expect((await h1.exec(['ls', '/var/lib/coat'])).stdout).not.toMatch(/identity|etcd/);
  await coat(h1, 'join', fresh);

  // and the store goes back to where it was
  expect(await coat<StoreHosts>(h2, 'demote', 'h3')).toMatchObject({ hosts: ['h2'] });
  await until('h3 to have forgotten it', async () => !/authorityKey/.test(await readFile(join(h3.root, 'var/lib/coat/identity.json'), 'utf8')) && !/etcd/.test((await h3.exec(['ls', '/var/lib/coat'])).stdout), { timeout: PATIENCE_MS });
  await coat(h2, 'promote', 'h1');
  expect(await coat<StoreHosts>(h2, 'demote', 'h2')).toMatchObject({ hosts: ['h1'] });
  await until('h1 to have all', async () => (await status(h1)).store.state === 'ok' && (await hasNetwork(h1, 'shop')), { timeout: PATIENCE_MS });
  expect(await keepers(h2)).toEqual(['h1']);
  await docker(h3, 'rm', '--force', 'four');
  await coat(h3, 'leave');
});

test('a dead host is removed, shut out, and its addresses are free', async () => {
  await docker(h2, 'run', '-d', '--name', 'two', '--network', 'shop', '--ip', '10.60.0.12', IMAGE, 'sleep', '3600');
  expect(await refused(h1, 'rm', 'h1')).toBe('own-host');
  expect(await refused(h1, 'rm', 'h9')).toBe('unknown-host');
  expect(await refused(h1, 'rm', 'h2')).toBe('host-lives');
  await lab.kill('h2');
  await coat(h1, 'rm', 'h2');
  expect((await status(h1)).hosts.map(({ name }) => name)).toEqual(['h1']);
  await docker(h1, 'run', '-d', '--name', 'three', '--network', 'shop', '--ip', '10.60.0.12', IMAGE, 'sleep', '3600');

  // it comes back, and is told
  await lab.start('h2');
  await until('the agent of h2', async () => (await h2.exec(['docker', 'coat', 'version'], { okCodes: [0, 1] })).code === 0, { timeout: PATIENCE_MS });
  await until('h2 to be refused', async () => {
    const { store, hosts } = await status(h2);
    return store.state === 'away' && /does not take this one for a host/.test(hosts.find(({ name }) => name === 'h1')?.problem ?? '');
  }, { timeout: PATIENCE_MS });
  expect(await refused(h2, 'leave')).toBe('not-a-member');
  await coat(h2, 'leave', '--force');
  expect(await docker(h2, 'network', 'ls', '--filter', 'driver=coat', '--quiet')).toBe('');
  expect(await coat<Entered>(h2, 'join', await newToken(), '--name', 'h4')).toMatchObject({ name: 'h4' });
});

test('hosts reach each other by IPv6 as well, all of them', async () => {
  await coat(h2, 'leave');
  await docker(h1, 'rm', '--force', 'one', 'three');
  await docker(h2, 'rm', '--force', 'two');
  await coat(h1, 'leave');
  expect(await coat<Entered>(h1, 'init', '--address', h1.address6)).toMatchObject({ address: h1.address6 });
  const let2in = await newToken();
  expect(await refused(h2, 'join', let2in, '--address', h2.address)).toBe('other-family');
  expect(await coat<Entered>(h2, 'join', let2in)).toMatchObject({ address: h2.address6 });
  for (const host of [h1, h2]) expect((await status(host)).hosts.map(({ name, reachable }) => [name, reachable])).toEqual([['h1', true], ['h2', true]]);

  await docker(h1, 'network', 'create', '-d', 'coat', '--ipam-driver', 'coat', '--ipv6', '--subnet', '10.60.0.0/24', '--subnet', 'fd00:60::/64', 'shop');
  await until('the network on h2', async () => (await h2.exec(['docker', 'network', 'inspect', 'shop'], { okCodes: [0, 1] })).code === 0, { timeout: PATIENCE_MS });
  await docker(h1, 'run', '-d', '--name', 'one', '--network', 'shop', '--ip6', 'fd00:60::11', IMAGE, 'sleep', '3600');
  await docker(h2, 'run', '-d', '--name', 'two', '--network', 'shop', '--ip', '10.60.0.12', IMAGE, 'sleep', '3600');
  // 1500 bytes of the lab's wire, less 70 for VXLAN over IPv6
  expect(await docker(h1, 'exec', 'one', 'cat', '/sys/class/net/eth0/mtu')).toBe('1430');
  await until('one to reach two', () => reaches(h1, 'one', '10.60.0.12'), { timeout: PATIENCE_MS });
  await docker(h2, 'exec', 'two', 'ping', '-c', '1', '-W', '1', '-M', 'do', '-s', '1382', 'fd00:60::11');
  await docker(h1, 'coat', 'migrate', 'one', 'h2');
  await until('two to reach one', () => reaches(h2, 'two', 'fd00:60::11'), { timeout: PATIENCE_MS });
  await docker(h2, 'rm', '--force', 'one', 'two');
});

test('an etcd of others is the store, and is empty when all have left', async () => {
  await coat(h2, 'leave');
  await docker(h1, 'rm', '--force', 'three');
  await coat(h1, 'leave');
  const url = await etcdOfOthers(h3);
  const store = ['--store', url, '--store-ca', '/share/etcd.pem', '--store-cert', '/share/etcd.pem', '--store-key', '/share/etcd.key'];
  expect(await refused(h1, 'init', '--store', url)).toBe('bad-store');
  await coat(h1, 'init', ...store);
  expect((await status(h1)).store).toMatchObject({ state: 'ok', endpoint: `etcd at ${url}` });
  expect((await h1.exec(['pgrep', '-x', 'etcd'], { okCodes: [0, 1] })).code).toBe(1);
  await coat(h2, 'join', await newToken());
  expect(await refused(h2, 'promote', 'h1')).toBe('keeps-not');
  expect(await coat<StoreHosts>(h1, 'promote', 'h2')).toMatchObject({ hosts: ['h1', 'h2'] });
  expect(await coat<StoreHosts>(h2, 'demote', 'h1')).toMatchObject({ hosts: ['h2'] });
  await until('h1 to have forgotten the key', async () => !(await readFile(join(h1.root, 'var/lib/coat/identity.json'), 'utf8')).includes('authorityKey'), { timeout: PATIENCE_MS });

  await docker(h2, 'network', 'create', '-d', 'coat', '--ipam-driver', 'coat', '--subnet', '10.62.0.0/24', 'far');
  await until('the network on h1', () => hasNetwork(h1, 'far'), { timeout: PATIENCE_MS });
  await docker(h1, 'run', '-d', '--name', 'five', '--network', 'far', '--ip', '10.62.0.15', IMAGE, 'sleep', '3600');
  await docker(h2, 'run', '-d', '--name', 'six', '--network', 'far', IMAGE, 'sleep', '3600');
  await until('six to reach five', () => reaches(h2, 'six', '10.62.0.15'), { timeout: PATIENCE_MS });
  for (const [host, name] of [[h1, 'five'], [h2, 'six']] as const) {
    await docker(host, 'rm', '--force', name);
    await coat(host, 'leave');
  }
  // which it is refused where there are records
  await coat(h1, 'init', ...store);
});

/** An etcd on a TCP port of a host, with TLS on both sides and one certificate for all. @returns its address */
async function etcdOfOthers(host: LabHost): Promise<string> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=etcd',
    keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - 3_600_000),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: host.address }]),
    ],
  });
  await writeFile(join(lab.shared, 'etcd.pem'), certificate.toString('pem'));
  await writeFile(join(lab.shared, 'etcd.key'), x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY'));
  const url = `https://${host.address}:2379`;
  // the hosts have no etcd; the plugin has, in a root that knows no localhost
  const peer = '--listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster default=http://127.0.0.1:2380';
  const flags = `--data-dir /tmp/etcd --listen-client-urls ${url} --advertise-client-urls ${url} --cert-file /tmp/etcd.pem --key-file /tmp/etcd.key --trusted-ca-file /tmp/etcd.pem --client-cert-auth ${peer}`;
  await host.exec(['sh', '-c', `root=$(echo /var/lib/docker/plugins/*/rootfs); mkdir -p "$root/tmp" && cp /share/etcd.pem /share/etcd.key "$root/tmp" && { setsid chroot "$root" /usr/bin/etcd ${flags} >/tmp/etcd.log 2>&1 </dev/null & }`]);
  await until('etcd', async () => (await host.exec(['sh', '-c', 'ss -Hlnt sport = :2379'])).stdout !== '', { timeout: PATIENCE_MS });
  return url;
}

async function restartAgent(host: LabHost): Promise<void> {
  const plugin = await docker(host, 'plugin', 'ls', '--filter', 'enabled=true', '--format', '{{.Name}}');
  await docker(host, 'plugin', 'disable', '--force', plugin);
  await docker(host, 'plugin', 'enable', plugin);
  await until(`the agent of ${host.name}`, async () => (await host.exec(['docker', 'coat', 'version'], { okCodes: [0, 1] })).code === 0, { timeout: PATIENCE_MS });
}

async function agentPid(host: LabHost): Promise<string> {
  return (await host.exec(['pgrep', '-f', '/usr/lib/coat/agent.cjs'])).stdout.trim().split('\n')[0]!;
}

/** The same token with other hosts, another secret, or another fingerprint. */
function withHosts(text: string, hosts: unknown[] | ((hosts: unknown[]) => unknown[])): string {
  const known = (JSON.parse(Buffer.from(text.slice('coat1.'.length), 'base64url').toString()) as [unknown[]])[0];
  return withPart(text, 0, typeof hosts === 'function' ? hosts(known) : hosts);
}
function withPart(text: string, part: number, value: unknown): string {
  const parts = JSON.parse(Buffer.from(text.slice('coat1.'.length), 'base64url').toString()) as unknown[];
  return `coat1.${Buffer.from(JSON.stringify(parts.with(part, value))).toString('base64url')}`;
}
function withFingerprint(text: string, value: string): string {
  return withPart(text, 2, value);
}
function withSecret(text: string, value: string): string {
  return withPart(text, 3, value);
}
