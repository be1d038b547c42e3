import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silent } from '../../../driver/host/log.ts';
import { until } from '../../../driver/host/until.ts';
import { ConflictError, type Change } from '../../../driver/store/store.ts';
import { EtcdChild } from '../../../plugin/agent/etcd/child.ts';
import { EtcdStore } from '../../../plugin/agent/etcd/store.ts';

const missing = spawnSync('etcd', ['--version']).error !== undefined;

/** Forwards connections to a unix socket, and cuts them all when told to. */
async function relay(to: string): Promise<{ server: Server; port: number; cut(): void }> {
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const target = connect(to);
    for (const socket of [client, target]) {
      open.add(socket);
      socket.on('error', () => undefined).on('close', () => open.delete(socket));
    }
    client.pipe(target).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return { server, port, cut: () => open.forEach((socket) => socket.destroy()) };
}

function connecting(port: number): () => Promise<Socket> {
  return () =>
    new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(socket));
      socket.once('error', reject);
    });
}

describe.skipIf(missing)('the store in etcd', () => {
  let base: string;
  let etcd: EtcdChild;
  let way: Awaited<ReturnType<typeof relay>>;
  let store: EtcdStore;

  beforeAll(async () => {
    base = await mkdtemp(join(tmpdir(), 'coat-etcd-'));
    etcd = new EtcdChild({ data: join(base, 'data'), sockets: join(base, 'sockets'), log: silent });
    await etcd.start();
    way = await relay(etcd.socket);
    store = new EtcdStore(connecting(way.port));
  });
  afterAll(async () => {
    await store.close();
    way.cut();
    way.server.close();
    await etcd.stop();
    await rm(base, { recursive: true, force: true });
  });

  test('writes conditionally', async () => {
    const first = await store.put('a/1', { v: 1 }, 'absent');
    await expect(store.put('a/1', { v: 2 }, 'absent')).rejects.toBeInstanceOf(ConflictError);
    const second = await store.put('a/1', { v: 2 }, first);
    await expect(store.put('a/1', { v: 3 }, first)).rejects.toBeInstanceOf(ConflictError);
    expect(await store.get('a/1')).toEqual({ key: 'a/1', value: { v: 2 }, revision: second });
    await expect(store.delete('a/1', first)).rejects.toBeInstanceOf(ConflictError);
    await store.delete('a/1', second);
    await store.delete('a/1', 'any');
    expect(await store.get('a/1')).toBeUndefined();
  });

  test('lists exactly the prefix', async () => {
    await store.put('l/1', 'ä', 'any');
    await store.put('l/2', 2, 'any');
    const revision = await store.put('lz', 3, 'any');
    const snapshot = await store.list('l/');
    expect(snapshot.entries.map(({ key, value }) => [key, value])).toEqual([['l/1', 'ä'], ['l/2', 2]]);
    expect(snapshot.revision).toBe(revision);
  });

  test('watches through lost connections and a restart of etcd, every change once', async () => {
    const from = (await store.list('w/')).revision + 1;
    const seen: Change[] = [];
    const watch = store.watch('w/', from, { change: (changes) => seen.push(...changes), lost: () => expect.fail() });
    await store.put('w/1', 1, 'any');
    way.cut();
    await until('a write after the cut', () => store.put('w/1', 2, 'any').catch(() => false));
    // as after a power cut: etcd is killed, the child starts it again
    const pid = (await readFile(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')).trim().split(' ');
    for (const child of pid) if ((await readFile(`/proc/${child}/comm`, 'utf8')).trim() === 'etcd') process.kill(Number(child), 'SIGKILL');
    await until('a write after the restart', () => store.put('w/2', 3, 'any').catch(() => false), { timeout: 15_000 });
    await store.delete('w/1', 'any');
    await until('the deletion', () => seen.some(({ value }) => value === undefined));
    watch.close();
    expect(seen.map(({ key, value }) => [key, value])).toEqual([['w/1', 1], ['w/1', 2], ['w/2', 3], ['w/1', undefined]]);
  });

  test('says within three seconds that it is away', async () => {
    const silentServer = createServer(() => undefined);
    await new Promise<void>((resolve) => silentServer.listen(0, '127.0.0.1', resolve));
    const address = silentServer.address();
    const away = new EtcdStore(connecting(typeof address === 'object' && address ? address.port : 0));
    const begin = Date.now();
    await expect(away.get('x')).rejects.toMatchObject({ code: 'store-away' });
    expect(Date.now() - begin).toBeLessThan(3_500);
    await away.close();
    silentServer.close();
    const nobody = new EtcdStore(() => Promise.reject(new Error('no way')));
    await expect(nobody.put('x', 1, 'any')).rejects.toMatchObject({ code: 'store-away' });
  });
});
