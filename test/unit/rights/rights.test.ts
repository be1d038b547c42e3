import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { codeOf } from '../../../driver/host/errors.ts';
import { gatewayMac } from '../../../driver/overlay/names.ts';
import type { Change, Writer } from '../../../plugin/agent/rights/change.ts';
import { judge } from '../../../plugin/agent/rights/rights.ts';

const NOW = Date.UTC(2026, 0, 1);
const DAY = 24 * 3600_000;
const me: Writer = { name: 'h2', address: '10.0.0.2', key: 'b'.repeat(64) };
/** Where the settings name the hosts. */
const named: Writer = { name: 'h2', address: '10.0.0.2' };

const shop = { key: '10.42.0.0-24', subnet: '10.42.0.0/24', gateway: '10.42.0.1', vni: 7, mtu: 1450, name: 'shop', options: {}, internal: false, reserved: ['10.42.0.9'], number: 1, maker: 'h1', created: true };
const dual = { ...shop, key: '10.43.0.0-24', subnet: '10.43.0.0/24', gateway: '10.43.0.1', subnet6: 'fd00:43::/64', gateway6: 'fd00:43::1', vni: 8, name: 'dual', number: 2 };
const draft = { key: '10.44.0.0-24', subnet: '10.44.0.0/24', gateway: '10.44.0.1', vni: 9, mtu: 1450, options: {}, internal: false, number: 3, maker: 'h1' };
const claim = (host: string, ip = '10.42.0.5', more: object = {}): object => ({ network: ip.includes(':') || ip.startsWith('10.43.') ? dual.key : shop.key, ip, host, epoch: 1, ...more });
const at = (ip: string): string => `claims/${ip.includes(':') || ip.startsWith('10.43.') ? dual.key : shop.key}/${ip}`;
const host = (name: string, more: object = {}): object => ({ name, address: `10.0.0.${name.slice(1)}`, version: '1', key: name === 'h2' ? me.key : 'a'.repeat(64), ...more });
const token = `tokens/${'0'.repeat(64)}`;

const STORE: Record<string, unknown> = {
  'hosts/h1': host('h1', { store: 'member' }),
  'hosts/h2': host('h2'),
  'networks/10.42.0.0-24': shop,
  'networks/10.43.0.0-24': dual,
  'networks/10.44.0.0-24': draft,
  [at('10.42.0.20')]: claim('h1', '10.42.0.20', { mac: '02:42:0a:2a:00:14' }),
  [at('10.42.0.21')]: claim('h2', '10.42.0.21', { mac: '02:42:0a:2a:00:15', published: [{ host: 'h1', ports: [] }, { host: 'h2', ports: [] }] }),
  [at('10.42.0.22')]: claim('h1', '10.42.0.22', { epoch: 3, mac: '02:42:0a:2a:00:16', movingTo: 'h2', redirect: 'h2', container: 'redis', names: ['redis'], published: [{ host: 'h1', ports: [] }] }),
  [at('10.42.0.23')]: claim('h1', '10.42.0.23', { mac: '02:42:0a:2a:00:17', movingTo: 'h2' }),
  [at('10.42.0.24')]: claim('h1', '10.42.0.24', { mac: '02:42:0a:2a:00:18', movingTo: 'h3', redirect: 'h3' }),
  [at('10.42.0.25')]: claim('h1', '10.42.0.25', { spare: true }),
  [at('10.43.0.5')]: claim('h1', '10.43.0.5', { mac: '02:42:0a:2b:00:05', ip6: 'fd00:43::5' }),
  [at('fd00:43::5')]: claim('h1', 'fd00:43::5'),
  [at('10.43.0.6')]: claim('h1', '10.43.0.6', { mac: '02:42:0a:2b:00:06', ip6: 'fd00:43::6' }),
  [at('fd00:43::7')]: claim('h2', 'fd00:43::7'),
  [token]: { expires: NOW + DAY },
  [`tokens/${'1'.repeat(64)}`]: { expires: NOW - 2 * DAY, usedBy: 'h2' },
  book: { networks: 3 },
  cluster: { id: 'bb6a8a2c-6a3f-4c0b-9d3e-111111111111' },
  door: { last: 'h2' },
};

/** What the guard does with it, without etcd. */
function may(writes: Record<string, unknown>, { writer = me, store = STORE }: { writer?: Writer; store?: Record<string, unknown> } = {}): string {
  const looked = new Set<string>();
  const changes: Change[] = Object.entries(writes).map(([key, after]) => ({ key, before: store[key], after }));
  const known = {
    now: NOW,
    get: (key: string) => store[key],
    under: (prefix: string) => (looked.has(prefix) ? new Map(Object.entries(store).filter(([key]) => key.startsWith(prefix))) : undefined),
  };
  try {
    for (let wanted = judge(writer, changes, known); wanted.length > 0; wanted = judge(writer, changes, known)) for (const prefix of wanted) looked.add(prefix);
    return 'yes';
  } catch (error) {
    if (codeOf(error) === 'not-yours') return (error as Error).message;
    if (codeOf(error) === 'conflict') return 'conflict';
    throw error;
  }
}

const moved = { ...(STORE[at('10.42.0.22')] as object), host: 'h2', epoch: 4, movingTo: undefined, redirect: undefined };
const clean = (value: object): object => JSON.parse(JSON.stringify(value)) as object;
const fresh = { key: '10.50.0.0-24', subnet: '10.50.0.0/24', gateway: '10.50.0.1', vni: 77, mtu: 1450, options: {}, internal: false, number: 4, maker: 'h2' };

describe('may', () => {
  it.each<[string, Record<string, unknown>]>([
    ['claim a free address', { [at('10.42.0.5')]: claim('h2') }],
    ['claim one with a MAC', { [at('10.42.0.5')]: claim('h2', '10.42.0.5', { mac: '02:42:0a:2a:00:05', container: 'web' }) }],
    ['keep one in advance', { [at('10.42.0.254')]: claim('h2', '10.42.0.254', { spare: true }) }],
    ['change its own', { [at('10.42.0.21')]: claim('h2', '10.42.0.21', { mac: '02:42:0a:2a:00:15', names: ['web'] }) }],
    ['announce and redirect its own', { [at('10.42.0.21')]: { ...(STORE[at('10.42.0.21')] as object), movingTo: 'h3', redirect: 'h3' } }],
    ['give its own back', { [at('10.42.0.21')]: undefined }],
    ['give back what is nobody\'s', { [at('10.42.0.99')]: undefined }],
    ['take over what is redirected to it', { [at('10.42.0.22')]: clean(moved) }],
    ['claim an IPv6 address', { [at('fd00:43::9')]: claim('h2', 'fd00:43::9') }],
    ['name its own IPv6 address', { [at('10.43.0.7')]: claim('h2', '10.43.0.7', { ip6: 'fd00:43::7', mac: '02:42:0a:2b:00:07' }) }],
    ['say what it publishes', { [at('10.42.0.21')]: claim('h2', '10.42.0.21', { mac: '02:42:0a:2a:00:15', published: [{ host: 'h1', ports: [] }, { host: 'h2', ports: [{ proto: 'tcp', port: 80, hostPort: 80 }] }] }) }],
    ['draft a network', { 'networks/10.50.0.0-24': fresh, book: { networks: 4 } }],
    ['make a drafted one', { 'networks/10.44.0.0-24': { ...draft, created: true, options: { mtu: '1400' }, mtu: 1400, vni: 99 }, book: { networks: 4 } }],
    ['choose the gateway of a drafted one', { 'networks/10.44.0.0-24': { ...draft, gateway: '10.44.0.254' } }],
    ['remove a network that nobody uses', { 'networks/10.45.0.0-24': undefined }],
    ['make a token', { [`tokens/${'2'.repeat(64)}`]: { expires: NOW + 7 * DAY } }],
    ['forget a token that is long over', { [`tokens/${'1'.repeat(64)}`]: undefined }],
    ['say what it has', { 'hosts/h2': host('h2', { version: '2', routes: ['10.0.0.0/8'] }) }],
    ['leave', { 'hosts/h2': undefined }],
  ])('%s', (_what, writes) => expect(may(writes, { store: { ...STORE, 'networks/10.45.0.0-24': { ...shop, key: '10.45.0.0-24', subnet: '10.45.0.0/24', gateway: '10.45.0.1', vni: 10 } } })).toBe('yes'));

  it('name a network that has no name yet, and remove its own that has none', () => {
    const { name: _name, ...nameless } = shop;
    const store = { ...STORE, 'networks/10.42.0.0-24': nameless };
    expect(may({ 'networks/10.42.0.0-24': { ...nameless, name: 'shop' } }, { store })).toBe('yes');
    expect(may({ 'networks/10.42.0.0-24': undefined }, { store })).toMatch(/addresses in the network/);
    expect(may({ 'networks/10.42.0.0-24': undefined }, { store: { ...store, 'networks/10.42.0.0-24': { ...nameless, maker: 'h2' } } })).toBe('yes');
  });

  it('put a network back that is in use', () => {
    const { 'networks/10.42.0.0-24': _gone, ...store } = STORE;
    expect(may({ 'networks/10.42.0.0-24': shop, book: { networks: 4 } }, { store })).toBe('yes');
    const unused = Object.fromEntries(Object.entries(store).filter(([key]) => !key.startsWith(`claims/${shop.key}/`)));
    expect(may({ 'networks/10.42.0.0-24': shop, book: { networks: 4 } }, { store: unused })).toMatch(/begins as such/);
  });

  it('make its engine choose no more, where that one had chosen', () => {
    const chosen = { ...shop, chosenOn: 'h2' };
    const other = { ...shop, chosenOn: 'h1' };
    expect(may({ 'networks/10.42.0.0-24': shop, book: { networks: 4 } }, { store: { ...STORE, 'networks/10.42.0.0-24': chosen } })).toBe('yes');
    expect(may({ 'networks/10.42.0.0-24': shop, book: { networks: 4 } }, { store: { ...STORE, 'networks/10.42.0.0-24': other } })).toMatch(/stays as it was/);
  });

  it('make its record, and have another address, where the settings name the hosts', () => {
    const { 'hosts/h2': _mine, ...store } = STORE;
    const record = { name: 'h2', address: '10.0.0.2', version: '1' };
    expect(may({ 'hosts/h2': record }, { writer: named, store })).toBe('yes');
    expect(may({ 'hosts/h2': record }, { writer: named, store: { ...store, 'hosts/h2': { ...record, address: '10.0.0.99' } } })).toBe('yes');
    expect(may({ 'hosts/h2': { ...record, address: '10.0.0.1' } }, { writer: named, store })).toMatch(/address and key/);
    expect(may({ 'hosts/h2': { ...record, store: 'member' } }, { writer: named, store })).toMatch(/keeps the store/);
  });

  it('begin a cluster\'s id and its book', () => {
    expect(may({ cluster: { id: 'bb6a8a2c-6a3f-4c0b-9d3e-111111111111' } }, { store: {} })).toBe('yes');
    expect(may({ 'networks/10.50.0.0-24': { ...fresh, number: 1 }, book: { networks: 1 } }, { store: {} })).toBe('yes');
  });
});

describe('may not', () => {
  it.each<[string, Record<string, unknown>, RegExp | 'conflict']>([
    ['take another host\'s address', { [at('10.42.0.20')]: claim('h2', '10.42.0.20', { epoch: 2, mac: '02:42:0a:2a:00:14' }) }, /host h1's/],
    ['take one that is only announced', { [at('10.42.0.23')]: claim('h2', '10.42.0.23', { epoch: 2, mac: '02:42:0a:2a:00:17' }) }, /host h1's/],
    ['take one that moves elsewhere', { [at('10.42.0.24')]: claim('h2', '10.42.0.24', { epoch: 2, mac: '02:42:0a:2a:00:18' }) }, /host h1's/],
    ['redirect another host\'s', { [at('10.42.0.20')]: claim('h1', '10.42.0.20', { mac: '02:42:0a:2a:00:14', redirect: 'h2' }) }, /host h1's/],
    ['delete another host\'s', { [at('10.42.0.20')]: undefined }, /host h1's/],
    ['delete another host\'s spare one', { [at('10.42.0.25')]: undefined }, /host h1's/],
    ['use another host\'s spare one', { [at('10.42.0.25')]: claim('h2', '10.42.0.25') }, /host h1's/],
    ['claim for another host', { [at('10.42.0.5')]: claim('h1') }, /for itself/],
    ['give an address away', { [at('10.42.0.21')]: claim('h1', '10.42.0.21') }, /for itself/],
    ['take over with another MAC', { [at('10.42.0.22')]: { ...clean(moved), mac: '02:42:0a:2a:00:99' } }, /nothing else/],
    ['take over by two epochs', { [at('10.42.0.22')]: { ...clean(moved), epoch: 5 } }, /nothing else/],
    ['take over and publish elsewhere', { [at('10.42.0.22')]: { ...clean(moved), published: [{ host: 'h3', ports: [] }] } }, /nothing else/],
    ['raise an epoch', { [at('10.42.0.21')]: { ...(STORE[at('10.42.0.21')] as object), epoch: 9 } }, /epoch/],
    ['begin with an epoch', { [at('10.42.0.5')]: claim('h2', '10.42.0.5', { epoch: 2 }) }, /no past/],
    ['claim the gateway', { [at('10.42.0.1')]: claim('h2', '10.42.0.1') }, /no address for a container/],
    ['claim the broadcast address', { [at('10.42.0.255')]: claim('h2', '10.42.0.255') }, /no address for a container/],
    ['claim an address of another network', { 'claims/10.42.0.0-24/10.99.0.5': { ...claim('h2'), ip: '10.99.0.5' } }, /no address for a container/],
    ['claim a reserved address', { [at('10.42.0.9')]: claim('h2', '10.42.0.9') }, /reserved/],
    ['claim an IPv6 address where there is none', { 'claims/10.42.0.0-24/fd00::5': { ...claim('h2'), ip: 'fd00::5' } }, /no address for a container/],
    ['claim in a network that is not there', { 'claims/10.99.0.0-24/10.99.0.5': { network: '10.99.0.0-24', ip: '10.99.0.5', host: 'h2', epoch: 1 } }, /no network/],
    ['claim under another name', { [at('10.42.0.5')]: claim('h2', '10.42.0.6') }, /another address/],
    ['claim in another spelling', { 'claims/10.43.0.0-24/fd00:43:0::9': { ...claim('h2'), network: dual.key, ip: 'fd00:43:0::9' } }, /another address/],
    ['have another host\'s MAC', { [at('10.42.0.5')]: claim('h2', '10.42.0.5', { mac: '02:42:0a:2a:00:14' }) }, /belongs to 10.42.0.20/],
    ['get another host\'s MAC', { [at('10.42.0.21')]: { ...(STORE[at('10.42.0.21')] as object), mac: '02:42:0a:2a:00:14' } }, /belongs to 10.42.0.20/],
    ['have the gateway\'s MAC', { [at('10.42.0.5')]: claim('h2', '10.42.0.5', { mac: gatewayMac(7) }) }, /no container can have/],
    ['have everybody\'s MAC', { [at('10.42.0.5')]: claim('h2', '10.42.0.5', { mac: 'ff:ff:ff:ff:ff:ff' }) }, /no container can have/],
    ['have the MAC of another host in capitals', { [at('10.42.0.5')]: claim('h2', '10.42.0.5', { mac: '02:42:0A:2A:00:14' }) }, /no container can have/],
    ['have another host\'s IPv6 address', { [at('10.43.0.9')]: claim('h2', '10.43.0.9', { ip6: 'fd00:43::5' }) }, /not host h2's/],
    ['have an IPv6 address that nobody has', { [at('10.43.0.9')]: claim('h2', '10.43.0.9', { ip6: 'fd00:43::99' }) }, /not host h2's/],
    ['have an IPv6 address that another one is about to give back', { [at('fd00:43::6')]: claim('h2', 'fd00:43::6') }, 'conflict'],
    ['publish at another host', { [at('10.42.0.5')]: claim('h2', '10.42.0.5', { published: [{ host: 'h1', ports: [{ proto: 'tcp', port: 22, hostPort: 22 }] }] }) }, /published at host h1/],
    ['change what another one publishes', { [at('10.42.0.21')]: { ...(STORE[at('10.42.0.21')] as object), published: [{ host: 'h1', ports: [{ proto: 'tcp', port: 22, hostPort: 22 }] }] } }, /published at host h1/],
    ['enter a network without the book', { 'networks/10.50.0.0-24': fresh }, /book/],
    ['skip a page', { 'networks/10.50.0.0-24': fresh, book: { networks: 5 } }, /book/],
    ['turn a page for nothing', { book: { networks: 4 } }, /book/],
    ['delete the book', { book: undefined }, /book/],
    ['make a network for another host', { 'networks/10.50.0.0-24': { ...fresh, maker: 'h1' }, book: { networks: 4 } }, /made by h1/],
    ['have a VNI twice', { 'networks/10.50.0.0-24': { ...fresh, vni: 7 }, book: { networks: 4 } }, /VNI 7/],
    ['overlap', { 'networks/10.42.0.0-16': { ...fresh, key: '10.42.0.0-16', subnet: '10.42.0.0/16', gateway: '10.42.0.1' }, book: { networks: 4 } }, /overlaps/],
    ['overlap in IPv6', { 'networks/10.44.0.0-24': { ...draft, created: true, subnet6: 'fd00:43::/80', gateway6: 'fd00:43::1' }, book: { networks: 4 } }, /overlaps/],
    ['call a network by another subnet', { 'networks/10.50.0.0-24': { ...fresh, subnet: '10.51.0.0/24', gateway: '10.51.0.1' }, book: { networks: 4 } }, /no network of that subnet/],
    ['have a gateway elsewhere', { 'networks/10.50.0.0-24': { ...fresh, gateway: '10.51.0.1' }, book: { networks: 4 } }, /no network of that subnet/],
    ['change the VNI of a network', { 'networks/10.42.0.0-24': { ...shop, vni: 99 }, book: { networks: 4 } }, /stays as it was/],
    ['rename one', { 'networks/10.42.0.0-24': { ...shop, name: 'mine' } }, /stays as it was/],
    ['remove one that is used', { 'networks/10.42.0.0-24': undefined }, /addresses in the network/],
    ['remove one that is being made', { 'networks/10.44.0.0-24': undefined }, /just being made/],
    ['take a draft over', { 'networks/10.44.0.0-24': { ...draft, maker: 'h2' } }, /to make/],
    ['change another host', { 'hosts/h1': host('h1', { address: '10.0.0.2' }) }, /not host h2's/],
    ['remove another host', { 'hosts/h1': undefined }, /not host h2's/],
    ['let a host in', { 'hosts/h9': host('h9') }, /not host h2's/],
    ['have another key', { 'hosts/h2': host('h2', { key: 'c'.repeat(64) }) }, /address and key/],
    ['have another address', { 'hosts/h2': host('h2', { address: '10.0.0.1' }) }, /address and key/],
    ['say that it keeps the store', { 'hosts/h2': host('h2', { store: 'member' }) }, /keeps the store/],
    ['be on its way to keep it', { 'hosts/h2': host('h2', { store: 'entering' }) }, /keeps the store/],
    ['use a token up', { [token]: { expires: NOW + DAY, usedBy: 'h9' } }, /lets in/],
    ['lengthen a token', { [token]: { expires: NOW + 5 * DAY } }, /lets in/],
    ['forget a token', { [token]: undefined }, /remembered/],
    ['make a token for a month', { [`tokens/${'2'.repeat(64)}`]: { expires: NOW + 30 * DAY } }, /seven days/],
    ['make a token that is used', { [`tokens/${'2'.repeat(64)}`]: { expires: NOW + DAY, usedBy: 'h1' } }, /seven days/],
    ['call something a token', { 'tokens/x': { expires: NOW } }, /no token/],
    ['be another cluster', { cluster: { id: 'bb6a8a2c-6a3f-4c0b-9d3e-222222222222' } }, /stays/],
    ['delete the cluster', { cluster: undefined }, /stays/],
    ['come in by the door', { door: { last: 'h9' } }, /only by hosts that keep the store/],
    ['write what nobody knows', { 'other/thing': {} }, /only by hosts that keep the store/],
  ])('%s', (_what, writes, why) => expect(may(writes)).toMatch(why));

  it('come back by itself when it was removed', () => {
    const { 'hosts/h2': _gone, ...store } = STORE;
    expect(may({ 'hosts/h2': host('h2') }, { store })).toMatch(/was removed/);
  });

  it('hide one write behind another', () => expect(may({ [at('10.42.0.5')]: claim('h2'), 'hosts/h1': undefined })).toMatch(/not host h2's/));

  it('write a record twice', () => {
    const change = { key: at('10.42.0.21'), before: STORE[at('10.42.0.21')], after: undefined };
    expect(() => judge(me, [change, change], { now: NOW, get: () => undefined, under: () => undefined })).toThrow(/once/);
  });
});

/** Records with some fields that are right, and some that are of another record, or nonsense. */
const scrap = fc.oneof(fc.jsonValue(), fc.constantFrom<unknown>(...Object.values(STORE), undefined, 'h1', 'h2', '10.42.0.20', '10.42.0.0-24', true, 1, 2, -1));
const bent = fc.tuple(fc.constantFrom<unknown>(...Object.values(STORE), fresh, moved), fc.dictionary(fc.constantFrom('host', 'ip', 'ip6', 'mac', 'epoch', 'redirect', 'movingTo', 'network', 'published', 'key', 'subnet', 'vni', 'maker', 'created', 'name', 'address', 'store', 'expires', 'networks', '__proto__'), scrap, { maxKeys: 3 }))
  .map(([record, change]): unknown => (JSON.parse(JSON.stringify({ ...(record as object), ...change })) as unknown));
const key = fc.oneof(fc.constantFrom(...Object.keys(STORE), at('10.42.0.5'), at('fd00:43::9'), 'networks/10.50.0.0-24', 'claims', 'claims/', 'claims//', 'networks/', 'hosts/', 'hosts/h9'), fc.string({ maxLength: 20 }));

test('another host that takes the very address while it is looked at is the store\'s to tell', () => {
  const mine = claim('h2', '10.42.0.30', { mac: '02:42:0a:2a:00:1e' });
  const theirs = new Map([[at('10.42.0.30'), claim('h1', '10.42.0.30', { mac: '02:42:0a:2a:00:1e' })]]);
  const known = { now: NOW, get: (key: string) => STORE[key], under: () => theirs };
  expect(judge(me, [{ key: at('10.42.0.30'), before: undefined, after: mine }], known)).toEqual([]);
});

test('whatever is asked gets a yes or a sentence, and a yes leaves all others alone', () => {
  fc.assert(fc.property(fc.dictionary(key, fc.oneof(scrap, bent, fc.constant(undefined)), { minKeys: 1, maxKeys: 3, noNullPrototype: true }), (writes) => {
    const answer = may(writes);
    if (answer !== 'yes') return void expect(answer).toMatch(/^(conflict|.*\w \w.*)$/s);
    for (const [written, after] of Object.entries(writes)) {
      const before = STORE[written] as Record<string, unknown> | undefined;
      const now = after as Record<string, unknown> | undefined;
      if (before === undefined && now === undefined) continue;
      if (written.startsWith('claims/') && now !== undefined) expect(now['host']).toBe('h2');
      if (written.startsWith('claims/') && before !== undefined && before['host'] !== 'h2') expect(before['redirect']).toBe('h2');
      if (written.startsWith('hosts/')) expect([written, now?.['store'], now?.['key'] ?? me.key]).toEqual(['hosts/h2', undefined, me.key]);
      if (now !== undefined) expect(written).toMatch(/^(claims|networks|hosts|tokens|book|cluster)/);
    }
  }), { numRuns: 5_000 });
});
