import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CoatError } from '../../../driver/host/errors.ts';
import { silent } from '../../../driver/host/log.ts';
import { until } from '../../../driver/host/until.ts';
import type { Network } from '../../../driver/overlay/records.ts';
import { MemoryStore } from '../../../driver/store/memory.ts';
import { decide, remember, type View } from '../../../plugin/agent/networks/decide.ts';
import { Keeper, StepsLeft } from '../../../plugin/agent/networks/keeper.ts';
import { NetworkSync } from '../../../plugin/agent/networks/sync.ts';
import type { EngineNetwork, EngineNetworks } from '../../../plugin/engine/networks.ts';

const KEY = '10.42.0.0-24';

function record(name?: string, subnet = '10.42.0.0/24'): Network {
  return { key: subnet.replace('/', '-'), subnet, gateway: '10.42.0.1', vni: 7, mtu: 1450, options: {}, internal: false, ...(name === undefined ? {} : { name }) };
}

function onEngine(name: string, subnet = '10.42.0.0/24', ours = true): EngineNetwork {
  return { id: `id-${name}`, name, ours, subnet };
}

function view(parts: { engine?: EngineNetwork[]; record?: Network; inUse?: boolean; seen?: boolean; number?: number }): View {
  return {
    engine: parts.engine ?? [],
    numbers: new Map(parts.number === undefined ? [] : [['id-n1', parts.number]]),
    records: new Map(parts.record ? [[KEY, parts.record]] : []),
    inUse: new Set(parts.inUse ? [KEY] : []),
    seen: new Map(parts.seen ? [[KEY, record('n1')]] : []),
  };
}

describe('what brings an engine and the records together', () => {
  test.each([
    ['nothing anywhere', view({}), []],
    ['a network just created here gets its name into the record', view({ engine: [onEngine('n1')], record: record() }), [{ do: 'name', key: KEY, name: 'n1' }]],
    ['a record without a name is still being created elsewhere', view({ record: record() }), []],
    ['a network of another host is created here', view({ record: record('n1') }), [{ do: 'create', key: KEY }]],
    ['a network that is here as it should be', view({ engine: [onEngine('n1')], record: record('n1'), seen: true }), []],
    ['removed here, unused: the record goes', view({ record: record('n1'), seen: true }), [{ do: 'delete-record', key: KEY }]],
    ['removed here, used elsewhere: created again', view({ record: record('n1'), seen: true, inUse: true }), [{ do: 'create', key: KEY }]],
    ['removed elsewhere', view({ engine: [onEngine('n1')], seen: true }), [{ do: 'remove', key: KEY, id: 'id-n1' }]],
    ['removed elsewhere, but an address is still held', view({ engine: [onEngine('n1')], seen: true, inUse: true }), [{ do: 'restore-record', key: KEY }]],
    ['removed on all hosts', view({ seen: true }), []],
    ['here but in no record: somebody is just creating it', view({ engine: [onEngine('n1')] }), []],
    ['another driver has the name', view({ engine: [onEngine('n1', '172.20.0.0/16', false)], record: record('n1') }), [{ do: 'complain', key: KEY }]],
    ['a coat network of another subnet has the name', view({ engine: [onEngine('n1', '10.9.0.0/24')], record: record('n1') }), [{ do: 'complain', key: KEY }]],
    ['the same network under two names', view({ engine: [onEngine('foo')], record: record('n1') }), [{ do: 'complain', key: KEY }]],
    ['one that is of an earlier network with that subnet, removed elsewhere while nobody looked', view({ engine: [onEngine('n1')], record: { ...record(), number: 9 }, seen: true, number: 8 }), [{ do: 'remove', key: KEY, id: 'id-n1' }]],
    ['one that is of this network', view({ engine: [onEngine('n1')], record: { ...record(), number: 9 }, number: 9 }), [{ do: 'name', key: KEY, name: 'n1' }]],
    ['removed and made again under the same name while nobody looked', view({ engine: [onEngine('n1')], record: record('n1'), seen: true }), []],
  ])('%s', (_, given, expected) => {
    expect(decide(given)).toMatchObject(expected);
    expect(decide(given)).toHaveLength(expected.length);
  });

  test('what failed is decided again; what was done is remembered', () => {
    const removed = view({ record: record('n1'), seen: true });
    const steps = decide(removed);
    expect([...remember(removed, steps, new Set()).keys()]).toEqual([KEY]);
    expect([...remember(removed, steps, new Set(steps)).keys()]).toEqual([]);
    const fresh = view({ record: record('n1') });
    const create = decide(fresh);
    expect([...remember(fresh, create, new Set()).keys()]).toEqual([]);
    expect([...remember(fresh, create, new Set(create)).keys()]).toEqual([KEY]);
    const misnamed = view({ engine: [onEngine('foo')], record: record('n1') });
    expect([...remember(misnamed, decide(misnamed), new Set()).keys()]).toEqual([]);
  });
});

/** An engine whose driver writes the record when a network is made, as ours does. */
class FakeEngine implements EngineNetworks {
  networks: EngineNetwork[] = [];
  refuse = false;
  /** What was said to the address driver about each network. */
  repeated: Record<string, string>[] = [];

  async list(): Promise<EngineNetwork[]> {
    return [...this.networks];
  }

  async create(plan: { name: string; subnet: string; ipamOptions: Record<string, string> }): Promise<string> {
    if (this.refuse) throw new CoatError('engine-refused', 'no');
    this.repeated.push(plan.ipamOptions);
    this.networks.push(onEngine(plan.name, plan.subnet));
    return `id-${plan.name}`;
  }

  async remove(id: string): Promise<void> {
    if (this.refuse) throw new CoatError('engine-refused', 'no');
    this.networks = this.networks.filter((network) => network.id !== id);
  }

  async attached(): Promise<never[]> {
    return [];
  }
}

describe('three hosts', () => {
  let directory: string;
  let store: MemoryStore;
  let engines: FakeEngine[];
  let syncs: NetworkSync[];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'coat-networks-'));
    store = new MemoryStore();
    engines = [new FakeEngine(), new FakeEngine(), new FakeEngine()];
    syncs = engines.map((engine, i) => new NetworkSync({ store, engine, numbers: () => new Map(), file: join(directory, `${i}.json`), log: silent }));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const round = async (who = [0, 1, 2]): Promise<void> => {
    for (const i of who) await syncs[i]!.run();
  };
  const names = (): string[][] => engines.map((engine) => engine.networks.map(({ name }) => name));
  const userCreates = async (i: number): Promise<void> => {
    await store.put(`networks/${KEY}`, { ...record(), number: 7 }, 'any');
    engines[i]!.networks.push(onEngine('n1'));
  };

  test('a network made on one is on all, and removed on another is gone from all', async () => {
    await userCreates(1);
    await round();
    await round();
    expect(names()).toEqual([['n1'], ['n1'], ['n1']]);
    // so that it is not made anew should it be removed at this moment
    expect(engines.map(({ repeated }) => repeated)).toEqual([[{ 'io.coat.repeats': '7' }], [], [{ 'io.coat.repeats': '7' }]]);
    engines[2]!.networks = [];
    await round();
    await round();
    expect(names()).toEqual([[], [], []]);
    expect(await store.get(`networks/${KEY}`)).toBeUndefined();
  });

  test('one name on two hosts at once, with two subnets, is one network', async () => {
    const others = ['10.50.0.0/24', '10.49.0.0/24'];
    for (const [i, subnet] of others.entries()) {
      await store.put(`networks/${subnet.replace('/', '-')}`, { ...record(undefined, subnet), number: i + 1 }, 'any');
      engines[i]!.networks.push(onEngine('n1', subnet));
    }
    for (let i = 0; i < 4; i += 1) await round();
    expect(engines.map((engine) => engine.networks.map(({ name, subnet }) => `${name} ${subnet}`))).toEqual([['n1 10.50.0.0/24'], ['n1 10.50.0.0/24'], ['n1 10.50.0.0/24']]);
    expect((await store.list('networks/')).entries.map(({ key }) => key)).toEqual(['networks/10.50.0.0-24']);
  });

  test('a network in use does not give way', async () => {
    await store.put('networks/10.50.0.0-24', { ...record('n1', '10.50.0.0/24'), number: 1 }, 'any');
    await store.put(`networks/${KEY}`, { ...record(undefined), number: 2 }, 'any');
    await store.put(`claims/${KEY}/10.42.0.2`, {}, 'any');
    engines[0]!.networks.push(onEngine('n1'));
    await round([0]);
    expect(names()[0]).toEqual(['n1']);
    expect(await store.get(`networks/${KEY}`)).toBeDefined();
  });

  test('a network in use comes back where it was removed', async () => {
    await userCreates(0);
    await round();
    await store.put(`claims/${KEY}/10.42.0.2`, {}, 'any');
    engines[1]!.networks = [];
    await round();
    expect(names()).toEqual([['n1'], ['n1'], ['n1']]);
  });

  test('a host that was down learns what happened, and its own removal counts', async () => {
    await userCreates(0);
    await round([0, 1]);
    await round([2]);
    // while the agent of host 2 is down its user removes the network
    engines[2]!.networks = [];
    await round([0, 1]);
    expect(names()).toEqual([['n1'], ['n1'], []]);
    await round([2, 0, 1]);
    expect(names()).toEqual([[], [], []]);
  });

  test('a refusal of the engine is tried again', async () => {
    await userCreates(0);
    await round([0]);
    engines[1]!.refuse = true;
    await expect(round([1])).rejects.toThrow(`still to do: create ${KEY}`);
    engines[1]!.refuse = false;
    await round([1]);
    expect(names()[1]).toEqual(['n1']);
  });

  test('a store made anew removes nothing', async () => {
    await userCreates(0);
    await round();
    const fresh = new MemoryStore();
    const sync = new NetworkSync({ store: fresh, engine: engines[1]!, numbers: () => new Map(), file: join(directory, '1.json'), log: silent });
    await sync.run();
    expect(names()[1]).toEqual(['n1']);
  });
});

test.each([
  ['by itself', 10, () => undefined],
  ['when something happens', 1_000_000, (keeper: Keeper) => keeper.poke()],
])('what a run left is tried again %s', async (_, retry, meanwhile) => {
  let runs = 0;
  const keeper = new Keeper(async () => {
    runs += 1;
    if (runs === 1) throw new StepsLeft(['remove 10.42.0.0-24']);
  }, silent, retry);
  keeper.start();
  await until('the first run', () => runs === 1);
  meanwhile(keeper);
  await until('the second', () => runs === 2);
  await keeper.stop();
});
