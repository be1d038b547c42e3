import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codeOf } from '../../driver/host/errors.ts';
import { silent } from '../../driver/host/log.ts';
import { until } from '../../driver/host/until.ts';
import type { Change } from '../../driver/store/store.ts';
import { EtcdChild } from '../../plugin/agent/etcd/child.ts';
import { EtcdClient, type Connect } from '../../plugin/agent/etcd/client.ts';
import { addLearner, type EtcdMember, giveVote, listMembers, listMembersNow, moveMember, peerSocket, removeMember } from '../../plugin/agent/etcd/members.ts';
import { Relays } from '../../plugin/agent/etcd/relays.ts';
import { EtcdStore } from '../../plugin/agent/etcd/store.ts';
import { oneOf } from '../../plugin/agent/etcd/way.ts';
import { baseRootfs } from '../../plugin/image/base.ts';

const isThere = (): boolean => spawnSync('etcd', ['--version']).error === undefined;
const possible = isThere() || process.getuid?.() === 0;
const HOSTS = ['h1', 'h2', 'h3'];
const PATIENCE = { timeout: 30_000, every: 200 };

let base: string;
const etcds = new Map<string, EtcdChild>();
const relays: Relays[] = [];

const sockets = (host: string): string => join(base, host, 's');
const local = (host: string): Connect => () => connected(etcds.get(host)!.socket, false);
/** As in the agents: each has a socket for each of the others, and between the two there is TLS. */
async function host(name: string): Promise<EtcdChild> {
  const etcd = new EtcdChild({ name, data: join(base, name, 'data'), sockets: sockets(name), log: silent });
  etcds.set(name, etcd);
  return etcd;
}
async function relay(name: string): Promise<void> {
  const ways = new Relays({ directory: sockets(name), open: (other) => connected(join(sockets(other), peerSocket(other)), true), log: silent });
  relays.push(ways);
  await ways.follow(HOSTS.filter((other) => other !== name));
}

describe.skipIf(!possible)('several members of etcd', () => {
  let first: EtcdClient;
  let store: EtcdStore;

  beforeAll(async () => {
    if (!isThere()) process.env['PATH'] += `:${await baseRootfs(() => undefined)}/usr/bin`;
    // the path of a unix socket has at most 107 bytes
    base = await mkdtemp(join(tmpdir(), 'coat-em-'));
    await (await host('h1')).start();
    await relay('h1');
    first = new EtcdClient(local('h1'));
    store = new EtcdStore(oneOf(() => HOSTS.map((name) => ({ name, connect: etcds.has(name) ? local(name) : () => Promise.reject(new Error('none')) }))));
  }, 600_000);
  afterAll(async () => {
    await store.close();
    first.close();
    await Promise.all([...etcds.values()].map((etcd) => etcd.stop()));
    for (const ways of relays) await ways.close();
    await rm(base, { recursive: true, force: true });
  });

  const hosts = async (): Promise<string[]> => (await listMembersNow(first)).map((member) => member.host + (member.learner ? '?' : '')).sort();

  it('come by copying the first, and vote when they have everything', async () => {
    await store.put('a', 1, 'absent');
    // as one that was alone is called in data of the time before there could be more
    const [{ id }] = (await listMembers(first)) as [EtcdMember];
    await first.post('/v3/cluster/member/update', { ID: id, peerURLs: ['unix://peer:1'] });
    expect(await hosts()).toEqual(['']);
    await moveMember(first, id, 'h1');
    expect(await hosts()).toEqual(['h1']);
    const names = ['h1'];
    for (const name of HOSTS.slice(1)) {
      const etcd = await host(name);
      // with two voters etcd does not take a third until it has seen both for some time
      await until('etcd to take it', () => addLearner(first, name).then(() => true, (error: unknown) => codeOf(error) !== 'store-away' && Promise.reject(error as Error)), PATIENCE);
      expect(await hosts()).toContain(`${name}?`);
      names.push(name);
      void etcd.start(names).catch(() => undefined);
      await until('its sockets', () => relay(name).then(() => true, () => false), PATIENCE);
      const id = (await listMembers(first)).find((member) => member.host === name)!.id;
      await until('its vote', () => giveVote(first, id), PATIENCE);
      expect(await hosts()).toEqual([...names]);
    }
    // the last one hears a moment later that it votes, and answers nothing before
    const last = new EtcdStore(local('h3'));
    expect((await until('h3 to answer', () => last.get('a').catch(() => false as const), PATIENCE))?.value).toBe(1);
  }, 90_000);

  it('go on when one is gone, and so do those who speak to it and watch', async () => {
    const seen: Change[] = [];
    const watch = store.watch('w/', (await store.list('w/')).revision + 1, { change: (changes) => seen.push(...changes), lost: () => expect.fail() });
    await store.put('w/1', 1, 'any');
    await until('the first change', () => seen.length === 1);
    await etcds.get('h1')!.stop();
    await until('a write without h1', () => store.put('w/2', 2, 'any').catch(() => false), PATIENCE);
    await until('the second change', () => seen.length === 2, PATIENCE);
    await etcds.get('h1')!.start();
    expect(await until('h1 to be back', () => hosts().catch(() => false as const), PATIENCE)).toEqual(HOSTS);
    watch.close();
  }, 90_000);

  it('are taken out, down to one', async () => {
    for (const name of ['h3', 'h2']) {
      const id = (await listMembers(first)).find((member) => member.host === name)!.id;
      await until(`${name} to be out`, () => removeMember(first, id).then(() => true, (error: unknown) => codeOf(error) !== 'store-away' && Promise.reject(error as Error)), PATIENCE);
      await etcds.get(name)!.stop();
      etcds.delete(name);
    }
    expect(await until('h1 alone', () => hosts().catch(() => false as const), PATIENCE)).toEqual(['h1']);
    await until('a write', () => store.put('w/3', 3, 'any').catch(() => false), PATIENCE);
  }, 90_000);

  it('listen on no network', async () => {
    const pids = (await readFile(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8')).trim().split(' ');
    const { stdout } = spawnSync('ss', ['-Hlntp'], { encoding: 'utf8' });
    expect(pids.length).toBeGreaterThan(0);
    for (const pid of pids) expect(stdout).not.toContain(`pid=${pid},`);
  });
});

async function connected(path: string, allowHalfOpen: boolean): Promise<ReturnType<typeof connect>> {
  const socket = connect({ path, allowHalfOpen });
  return new Promise((resolve, reject) => socket.once('connect', () => resolve(socket)).once('error', reject));
}
