import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../driver/host/until.ts';
import { issue, makeAuthority, makeRequest } from '../../plugin/agent/cluster/certificates.ts';
import { found } from '../../plugin/agent/cluster/enter.ts';
import { type ExternalEtcd, wayToExternal } from '../../plugin/agent/etcd/external.ts';
import { EtcdStore } from '../../plugin/agent/etcd/store.ts';
import { baseRootfs } from '../../plugin/image/base.ts';
import { storeContract } from './store.ts';

const isThere = (): boolean => spawnSync('etcd', ['--version']).error === undefined;
const possible = isThere() || process.getuid?.() === 0;

let base: string;
let etcd: ChildProcess;
let way: ExternalEtcd;

/** As somebody else would run it: on a TCP port, with TLS and certificates on both sides. */
describe.skipIf(!possible)('an etcd of others', () => {
  beforeAll(async () => {
    if (!isThere()) process.env['PATH'] += `:${await baseRootfs(() => undefined)}/usr/bin`;
    base = await mkdtemp(join(tmpdir(), 'coat-ex-'));
    const authority = await makeAuthority();
    const { request, key } = await makeRequest('localhost');
    const certificate = await issue(authority, request, 'localhost');
    const files = { ca: authority.certificate, cert: certificate, key };
    for (const [name, text] of Object.entries(files)) await writeFile(join(base, name), text);
    const [port, free, peer] = [await freePort(), await freePort(), await freePort()];
    const url = `https://localhost:${port}`;
    etcd = spawn('etcd', [
      '--data-dir', join(base, 'data'), '--listen-client-urls', `https://127.0.0.1:${port}`, '--advertise-client-urls', url,
      '--listen-peer-urls', `http://127.0.0.1:${peer}`, '--initial-advertise-peer-urls', `http://127.0.0.1:${peer}`, '--initial-cluster', `default=http://127.0.0.1:${peer}`,
      '--cert-file', join(base, 'cert'), '--key-file', join(base, 'key'), '--trusted-ca-file', join(base, 'ca'), '--client-cert-auth', '--logger', 'zap', '--log-level', 'error',
    ], { stdio: 'ignore', env: { PATH: process.env['PATH'] } });
    // nobody at the first address
    way = { urls: [`https://localhost:${free}`, url], ca: files.ca, certificate, key };
    const store = new EtcdStore(wayToExternal(way));
    await until('etcd', () => store.list('').then(() => true), { timeout: 60_000 });
    await store.close();
  }, 600_000);
  afterAll(async () => {
    etcd.kill('SIGKILL');
    await once(etcd, 'close');
    await rm(base, { recursive: true, force: true });
  });

  const open = (): EtcdStore => new EtcdStore(wayToExternal(way));

  storeContract('in it', async () => {
    const [store, other] = [open(), open()];
    for (const { key } of (await store.list('')).entries) await store.delete(key, 'any');
    return { store, other, dispose: async () => void (await Promise.all([store.close(), other.close()])) };
  });

  it('becomes the store of one cluster, if it answers and has none', async () => {
    const store = open();
    for (const { key } of (await store.list('')).entries) await store.delete(key, 'any');
    const own = Object.entries(networkInterfaces()).flatMap(([name, all]) => (/^(lo|docker|br-|veth|cb|cx|cv)/.test(name) ? [] : (all ?? []))).find(({ family }) => family === 'IPv4');
    const wanted = { name: 'h1', address: own?.address, store: { ...way, urls: [...way.urls] } };
    // a machine without a network cannot be a host
    if (own !== undefined) expect((await found(wanted)).external).toEqual(wanted.store);
    await store.put('hosts/h9', { name: 'h9' }, 'any');
    await expect(found(wanted)).rejects.toMatchObject({ code: 'store-in-use' });
    await expect(found({ ...wanted, store: { ...wanted.store, urls: ['http://localhost:1'] } })).rejects.toMatchObject({ code: 'bad-store' });
    await expect(found({ ...wanted, store: { ...wanted.store, ca: undefined } })).rejects.toMatchObject({ code: 'bad-store', message: expect.stringMatching(/does not answer/) as string });
    await expect(found({ ...wanted, store: { urls: wanted.store.urls, ca: way.ca } })).rejects.toMatchObject({ code: 'bad-store' });
    await store.close();
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}
