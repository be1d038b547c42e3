import { describe, expect, it } from 'vitest';
import { codeOf } from '../../../driver/host/errors.ts';
import { enterStored } from '../../../driver/network/book.ts';
import { chooseMtu, isFlooded, readOptions } from '../../../driver/overlay/options.ts';
import type { Network } from '../../../driver/overlay/records.ts';
import { MemoryStore } from '../../../driver/store/memory.ts';

describe('the options of a network', () => {
  it.each([
    [{}, {}],
    [{ vni: '1' }, { vni: 1 }],
    [{ vni: '16777215', mtu: '576' }, { vni: 16777215, mtu: 576 }],
    [{ multicast: 'off' }, {}],
    [{ 'com.docker.network.driver.mtu': '1500' }, { mtuLimit: 1500 }],
    [{ 'com.docker.network.endpoint.ifname': 'net0' }, {}],
  ])('%j are read', (options, choices) => expect(readOptions(options as Record<string, string>)).toEqual(choices));

  it.each([
    [{ vni: '0' }, /^vni is a number from 1 to 16777215, not "0"$/],
    [{ vni: '0x10' }, /vni/],
    [{ vni: '16777216' }, /vni/],
    [{ mtu: '575' }, /^mtu is a number from 576/],
    [{ mtu: '1e3' }, /mtu/],
    [{ mtu: '' }, /mtu/],
    [{ multicast: 'no' }, /^multicast is "on" or "off", not "no"$/],
    [{ encrypted: 'true' }, /does not encrypt the traffic/],
    [{ mut: '1400' }, /^a coat network has no option "mut"$/],
    [{ constructor: 'x' }, /no option "constructor"/],
    [{ 'com.docker.network.driver.mtu': 'big' }, /com.docker.network.driver.mtu is a number/],
  ])('%j are refused in a sentence', (options, sentence) => expect(() => readOptions(options as Record<string, string>)).toThrow(sentence));

  it('name those there are', () => expect(() => readOptions({ x: '' })).toThrow(expect.objectContaining({ hint: 'the options are vni, mtu, multicast' })));

  it('have an MTU that fits, or none', () => {
    expect(chooseMtu(1450, {})).toBe(1450);
    expect(chooseMtu(1450, { mtu: 1400, mtuLimit: 1300 })).toBe(1400);
    expect(chooseMtu(1450, { mtuLimit: 1500 })).toBe(1450);
    expect(() => chooseMtu(1450, { mtu: 1451 })).toThrow(/1451 bytes is more than the 1450/);
  });

  it('flood unless they say otherwise', () => expect([{}, { multicast: 'on' }, { multicast: 'off' }].map(isFlooded)).toEqual([true, true, false]));
});

describe('the book of networks', () => {
  const network = (n: number, vni: number): Network => ({ key: `10.${n}.0.0-24`, subnet: `10.${n}.0.0/24`, gateway: `10.${n}.0.1`, vni, mtu: 1450, options: {}, internal: false });
  const vnis = async (store: MemoryStore): Promise<number[]> => (await store.list('networks/')).entries.map(({ value }) => (value as Network).vni);

  it('lets only one of many have a VNI that all want', async () => {
    const store = new MemoryStore();
    const all = await Promise.allSettled(Array.from({ length: 10 }, (_, n) => enterStored(store, (networks) => {
      if ([...networks.values()].some(({ vni }) => vni === 7)) throw new Error('taken');
      return network(n, 7);
    })));
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await vnis(store)).toEqual([7]);
  });

  it('gives numbers in order, each once, and writes nothing where nothing changes', async () => {
    const store = new MemoryStore();
    await Promise.all(Array.from({ length: 10 }, (_, n) => enterStored(store, (networks, number) => network(n, number))));
    expect((await vnis(store)).sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const { revision } = await store.list('');
    const again = await enterStored(store, (networks) => networks.get('10.3.0.0-24')!);
    expect(again.network).toEqual(network(3, again.network.vni));
    expect((await store.list('')).revision).toBe(revision);
  });

  it('gives up when others never let it write', async () => {
    const store = new MemoryStore();
    let n = 0;
    const busy = enterStored(store, (_, number) => {
      void store.put('book', { networks: number }, 'any');
      return network((n += 1), n);
    });
    await expect(busy).rejects.toSatisfy((error) => codeOf(error) === 'conflict');
    expect(await vnis(store)).toEqual([]);
  });
});
