import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silent } from '../../../driver/host/log.ts';
import { until } from '../../../driver/host/until.ts';
import { changeRecord } from '../../../driver/store/change.ts';
import { MemoryStore } from '../../../driver/store/memory.ts';
import { Replica } from '../../../driver/store/replica.ts';
import { tempDir } from './support.ts';

const claim = (ip: string, host = 'a', epoch = 1) => ({ network: 'n', ip, host, epoch });

let store: MemoryStore;
let file: string;
let replica: Replica;
const make = () => new Replica({ store, host: 'a', file, log: silent });
beforeEach(() => {
  store = new MemoryStore();
  file = join(tempDir(), 'replica.json');
  replica = make();
});
afterEach(() => replica.stop());
const reached = (revision: number) => until(`revision ${revision}`, () => replica.revision >= revision, { timeout: 5_000 });

describe('the replica', () => {
  it('has what the store has, and hears of changes in order', async () => {
    await store.put('hosts/a', { name: 'a', address: '192.168.0.1' }, 'any');
    await replica.start();
    expect(replica.connected).toBe(true);
    expect(replica.hosts.get('a')?.address).toBe('192.168.0.1');
    let heard = 0;
    const end = replica.onChange(() => (heard += 1));
    await store.put('claims/n/10.0.0.2', claim('10.0.0.2'), 'any');
    await store.put('migrations/1', { anything: true }, 'any');
    await reached(await store.delete('hosts/a', 'any'));
    expect([...replica.claims.keys()]).toEqual(['n/10.0.0.2']);
    expect(replica.hosts.size).toBe(0);
    expect(heard).toBeGreaterThan(0);
    end();
  });

  it('skips what makes no sense, and keeps the rest', async () => {
    await store.put('claims/n/1', { network: 5 }, 'any');
    await store.put('networks/n', 'nonsense', 'any');
    await store.put('claims/n/10.0.0.2', claim('10.0.0.2'), 'any');
    await replica.start();
    expect([...replica.claims.keys()]).toEqual(['n/10.0.0.2']);
    expect(replica.networks.size).toBe(0);
  });

  it('starts from its file while the store is away, and catches up', async () => {
    await store.put('claims/n/10.0.0.2', claim('10.0.0.2'), 'any');
    await store.put('claims/n/10.0.0.3', claim('10.0.0.3'), 'any');
    await replica.start();
    await replica.stop();
    await store.delete('claims/n/10.0.0.3', 'any');
    store.away = true;
    replica = make();
    await replica.load();
    await replica.start();
    expect(replica.connected).toBe(false);
    expect(replica.claims.size).toBe(2);
    store.away = false;
    await until('the store', () => replica.connected, { timeout: 3_000 });
    expect([...replica.claims.keys()]).toEqual(['n/10.0.0.2']);
  });

  it('writes its file soon, and whole', async () => {
    await replica.start();
    await store.put('claims/n/10.0.0.2', claim('10.0.0.2'), 'any');
    await until('the file', () => {
      try {
        return readFileSync(file, 'utf8').includes('10.0.0.2');
      } catch {
        return false;
      }
    }, { timeout: 1_000 });
    JSON.parse(readFileSync(file, 'utf8'));
  });

  it('starts without a file that is damaged', async () => {
    writeFileSync(file, '{"revision": 7, "entries": [');
    await replica.load();
    expect(replica.revision).toBe(0);
    await replica.start();
    expect(replica.connected).toBe(true);
  });

  it('lists anew when changes cannot be replayed', async () => {
    await replica.start();
    store.away = true;
    store.away = false;
    await store.put('claims/n/10.0.0.2', claim('10.0.0.2'), 'any');
    store.compact();
    await until('the new list', () => replica.claims.has('n/10.0.0.2'), { timeout: 3_000 });
  });

  it('never goes back: its own writes count at once, and older news do not undo them', async () => {
    await replica.start();
    const first = await store.put('claims/n/10.0.0.2', claim('10.0.0.2'), 'any');
    const second = await store.put('claims/n/10.0.0.2', claim('10.0.0.2', 'b', 2), 'any');
    replica.note('claims/n/10.0.0.2', claim('10.0.0.2', 'b', 2), second);
    expect(replica.claims.get('n/10.0.0.2')?.host).toBe('b');
    replica.note('claims/n/10.0.0.2', claim('10.0.0.2'), first);
    expect(replica.claims.get('n/10.0.0.2')?.host).toBe('b');
    const gone = await store.delete('claims/n/10.0.0.2', 'any');
    replica.note('claims/n/10.0.0.2', undefined, gone);
    replica.note('claims/n/10.0.0.2', claim('10.0.0.2'), second);
    expect(replica.claims.size).toBe(0);
    await reached(gone);
    await sleep(20);
    expect(replica.claims.size).toBe(0);
  });

  it('takes over an older store, which was restored from a backup', async () => {
    for (let index = 0; index < 5; index += 1) await store.put('hosts/a', { name: 'a', address: `192.168.0.${index}` }, 'any');
    await replica.start();
    await replica.stop();
    store = new MemoryStore();
    await store.put('hosts/b', { name: 'b', address: '192.168.0.9' }, 'any');
    replica = make();
    await replica.load();
    await replica.start();
    expect([...replica.hosts.keys()]).toEqual(['b']);
  });
});

describe('a change of a record', () => {
  it('is decided again when somebody came in between', async () => {
    await store.put('n/1', 1, 'any');
    let rivals = 2;
    const add = async () => {
      let seen = 0;
      return changeRecord<number>({ store, replica }, 'n/1', Number, (current) => {
        seen += 1;
        if (rivals-- > 0) void store.put('n/1', (current ?? 0) + 10, 'any');
        return (current ?? 0) + seen * 0 + 1;
      });
    };
    expect(await add()).toBe(22);
    expect((await store.get('n/1'))?.value).toBe(22);
  });
});
