import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silent } from '../../driver/host/log.ts';
import { until } from '../../driver/host/until.ts';
import type { Change } from '../../driver/store/store.ts';
import { EtcdChild } from '../../plugin/agent/etcd/child.ts';
import { EtcdClient } from '../../plugin/agent/etcd/client.ts';
import { post } from '../../plugin/agent/etcd/gateway.ts';
import { Guard } from '../../plugin/agent/etcd/guard.ts';
import { putRequest } from '../../plugin/agent/etcd/messages.ts';
import { EtcdStore } from '../../plugin/agent/etcd/store.ts';
import { type Judge, transact, Transaction } from '../../plugin/agent/etcd/transaction.ts';
import { judge } from '../../plugin/agent/rights/rights.ts';
import { baseRootfs } from '../../plugin/image/base.ts';
import { storeContract } from './store.ts';

const isThere = (): boolean => spawnSync('etcd', ['--version']).error === undefined;
/** Where the machine has no etcd, that of the plugin's image is used, which only root can build. */
const possible = isThere() || process.getuid?.() === 0;

let base: string;
let etcd: EtcdChild;

describe.skipIf(!possible)('etcd', () => {
  beforeAll(async () => {
    if (!isThere()) process.env['PATH'] += `:${await baseRootfs(() => undefined)}/usr/bin`;
    base = await mkdtemp(join(tmpdir(), 'coat-etcd-'));
    etcd = new EtcdChild({ name: 'h1', data: join(base, 'data'), sockets: join(base, 'sockets'), log: silent });
    await etcd.start();
  }, 600_000);
  afterAll(async () => {
    await etcd.stop();
    await rm(base, { recursive: true, force: true });
  });

  const open = (): EtcdStore => new EtcdStore(() => connected(connect(etcd.socket)));

  storeContract('in etcd', async () => {
    const [store, other] = [open(), open()];
    for (const { key } of (await store.list('')).entries) await store.delete(key, 'any');
    return { store, other, dispose: async () => void (await Promise.all([store.close(), other.close()])) };
  });

  describe('behind the guard', () => {
    let server: Server;
    let rights: Judge = () => [];
    let keeps: 'member' | undefined;
    const guarded = (): EtcdStore => new EtcdStore(() => connected(connect(join(base, 'guard'))));
    beforeAll(async () => {
      // what of it a host may write: test/unit/rights
      const guard = new Guard({ socketPath: etcd.socket, find: (name) => ({ name, address: '192.0.2.1', store: keeps }), judge: (...all) => rights(...all) });
      server = createServer({ allowHalfOpen: true }, (socket) => guard.take(socket, 'h2'));
      await new Promise<void>((resolve) => server.listen(join(base, 'guard'), resolve));
    });
    afterAll(() => void server.close());

    storeContract('as a host that does not keep it sees it', async () => {
      const [store, other] = [guarded(), guarded()];
      for (const { key } of (await store.list('')).entries) await store.delete(key, 'any');
      return { store, other, dispose: async () => void (await Promise.all([store.close(), other.close()])) };
    });

    it('lets a host write what is its own, and says what is not', async () => {
      rights = judge;
      const [store, host] = [open(), guarded()];
      const ip = (last: number, more: object): [string, object] => [`claims/10.42.0.0-24/10.42.0.${last}`, { network: '10.42.0.0-24', ip: `10.42.0.${last}`, epoch: 1, ...more }];
      await store.put('networks/10.42.0.0-24', { key: '10.42.0.0-24', subnet: '10.42.0.0/24', gateway: '10.42.0.1', vni: 7, mtu: 1450, options: {}, internal: false, created: true }, 'any');
      await store.put(...ip(2, { host: 'h1' }), 'any');
      await host.put(...ip(3, { host: 'h2', mac: '02:42:0a:2a:00:03' }), 'absent');
      await host.put('hosts/h2', { name: 'h2', address: '192.0.2.1' }, 'absent');
      const theirs = (await host.get('claims/10.42.0.0-24/10.42.0.2'))!;
      await expect(host.put(theirs.key, { ...(theirs.value as object), host: 'h2' }, theirs.revision)).rejects.toMatchObject({ code: 'store-refused', message: expect.stringMatching(/address 10.42.0.2 is host h1's/) as string });
      await expect(host.delete(theirs.key, 'any')).rejects.toMatchObject({ code: 'store-refused' });
      expect(await store.get(theirs.key)).toEqual(theirs);
      await host.delete('claims/10.42.0.0-24/10.42.0.3', 'any');
      // on the same connection, once it keeps the store too
      keeps = 'member';
      await host.delete(theirs.key, 'any');
      keeps = undefined;
      await expect(host.put(theirs.key, theirs.value, 'absent')).rejects.toMatchObject({ code: 'store-refused' });
      await Promise.all([store.close(), host.close()]);
      rights = () => [];
    });

    it.each(['networks/n', 'claims/n/2', 'hosts/h2'])('decides anew where %s changes while it decides', async (what) => {
      const store = open();
      for (const { key } of (await store.list('')).entries) await store.delete(key, 'any');
      await store.put('hosts/h2', { name: 'h2', address: '192.0.2.1', key: 'a' }, 'any');
      const client = new EtcdClient(() => connected(connect(etcd.socket)));
      let meanwhile = async (): Promise<unknown> => (what.startsWith('hosts') ? store.delete(what, 'any') : store.put(what, 'changed', 'any'));
      const post = async (path: string, body: unknown): Promise<unknown> => {
        // the last moment: all is read, and decided
        if (JSON.stringify(body).includes('request_put')) {
          await meanwhile();
          meanwhile = async () => undefined;
        }
        return client.post(path, body);
      };
      const seen: unknown[] = [];
      const decide: Judge = (_writer, _changes, known) => {
        const under = known.under('claims/n/');
        if (under === undefined) return ['claims/n/'];
        seen.push([known.get('networks/n'), under.get('claims/n/2')]);
        return [];
      };
      const asked = Transaction.parse(putRequest([{ key: 'claims/n/1', value: 'mine', expected: 'absent' }]));
      const done = transact({ post }, { name: 'h2', address: '192.0.2.1', key: 'a' }, asked, decide);
      if (what === 'hosts/h2') {
        await expect(done).rejects.toMatchObject({ code: 'not-yours', message: expect.stringMatching(/not of this cluster any more/) as string });
        expect(await store.get('claims/n/1')).toBeUndefined();
      } else {
        expect(await done).toMatchObject({ succeeded: true });
        const [network, other] = [what === 'networks/n' ? 'changed' : undefined, what === 'claims/n/2' ? 'changed' : undefined];
        expect(seen).toEqual([[undefined, undefined], [network, other]]);
      }
      client.close();
      await store.close();
    });

    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    it.each([
      ['/v3/cluster/member/list', {}],
      ['/v3/cluster/member/add', { peerURLs: ['http://h9:2380'] }],
      ['/v3/auth/enable', {}],
      ['/v3/maintenance/snapshot', {}],
      ['/v3/kv/put', { key: base64('/coat/v1/a'), value: '' }],
      ['/v3/kv/range', { key: base64('/other') }],
      ['/v3/kv/range', { key: base64('/coat/v1/'), range_end: base64('/z') }],
      ['/v3/kv/range', { key: base64('/coat/v1/'), rangeEnd: base64('/z') }],
      ['/v3/kv/txn', { compare: [], success: [{ request_put: { key: base64('/other'), value: '' } }] }],
      ['/v3/kv/txn', { compare: [], success: [{ request_delete_range: { key: base64('/coat/v1/a'), range_end: base64('/z') } }] }],
      ['/v3/kv/txn', { compare: [], success: [], failure: [{ request_put: { key: base64('/other'), value: '' } }] }],
      ['/v3/watch', { create_request: { key: base64('/'), range_end: base64('0'), start_revision: '1', progress_notify: false } }],
    ])('%s %j is refused', async (path, body) => {
      const client = new EtcdClient(() => connected(connect(join(base, 'guard'))));
      await expect(client.post(path, body)).rejects.toMatchObject({ code: 'store-refused' });
      client.close();
    });
  });

  it('is watched through lost connections and through its own death, every change once', async () => {
    const way = await relay(etcd.socket);
    const store = new EtcdStore(way.connect);
    const from = (await store.list('w/')).revision + 1;
    const seen: Change[] = [];
    const watch = store.watch('w/', from, { change: (changes) => seen.push(...changes), lost: () => expect.fail() });
    await store.put('w/1', 1, 'any');
    way.cut();
    await until('a write after the cut', () => store.put('w/1', 2, 'any').catch(() => false));
    await killChildren('etcd');
    await until('a write after the restart', () => store.put('w/2', 3, 'any').catch(() => false), { timeout: 15_000 });
    await store.delete('w/1', 'any');
    await until('the deletion', () => seen.some(({ value }) => value === undefined));
    watch.close();
    expect(seen.map(({ key, value }) => [key, value])).toEqual([['w/1', 1], ['w/1', 2], ['w/2', 3], ['w/1', undefined]]);
    await store.close();
    way.close();
  });

  it('says that a watch is lost when the history it asks for is gone', async () => {
    const store = open();
    const first = await store.put('c/1', 1, 'any');
    const last = await store.put('c/1', 2, 'any');
    await post(new SocketAgent(), '/v3/kv/compaction', { revision: String(last), physical: true });
    const lost = await new Promise<unknown>((resolve) => store.watch('c/', first, { change: () => resolve('a change'), lost: resolve }));
    expect(lost).toMatchObject({ code: 'watch-lost' });
    const future = await new Promise<unknown>((resolve) => store.watch('c/', last + 1_000, { change: () => resolve('a change'), lost: resolve }));
    expect(future).toMatchObject({ code: 'watch-lost' });
    await store.close();
  });

  it('is reported away within three seconds', async () => {
    const mute = createServer(() => undefined);
    await new Promise<void>((resolve) => mute.listen(join(base, 'mute'), resolve));
    const away = new EtcdStore(() => connected(connect(join(base, 'mute'))));
    const begin = Date.now();
    await expect(away.get('x')).rejects.toMatchObject({ code: 'store-away' });
    expect(Date.now() - begin).toBeLessThan(3_500);
    await away.close();
    mute.close();
    const nobody = new EtcdStore(() => Promise.reject(new Error('no way')));
    await expect(nobody.put('x', 1, 'any')).rejects.toMatchObject({ code: 'store-away' });
  });

  it('listens on no network', async () => {
    const pids = await childrenNamed('etcd');
    expect(pids).toHaveLength(1);
    const { stdout } = spawnSync('ss', ['-Hlntp'], { encoding: 'utf8' });
    expect(stdout).not.toContain(`pid=${pids[0]},`);
  });
});

class SocketAgent extends Agent {
  override createConnection(): Socket {
    return connect(etcd.socket);
  }
}

function connected(socket: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => socket.once('connect', () => resolve(socket)).once('error', reject));
}

/** Forwards to a unix socket, and cuts all connections when told to. */
async function relay(to: string): Promise<{ connect: () => Promise<Socket>; cut(): void; close(): Server }> {
  const socketPath = join(base, 'relay');
  const pairs = new Set<Socket>();
  const server = createServer((client) => {
    const target = connect(to);
    for (const socket of [client, target]) {
      pairs.add(socket);
      socket.on('error', () => undefined).on('close', () => pairs.delete(socket));
    }
    client.pipe(target).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return { connect: () => connected(connect(socketPath)), cut: () => pairs.forEach((socket) => socket.destroy()), close: () => server.close() };
}

/** Of this process; vitest gives each file one of its own. */
async function childrenNamed(name: string): Promise<number[]> {
  const pids = (await readFile(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')).trim().split(' ').map(Number);
  const named = await Promise.all(pids.map(async (pid) => ((await readFile(`/proc/${pid}/comm`, 'utf8')).trim() === name ? [pid] : [])));
  return named.flat();
}

/** As in a power cut. */
async function killChildren(name: string): Promise<void> {
  for (const pid of await childrenNamed(name)) process.kill(pid, 'SIGKILL');
}
