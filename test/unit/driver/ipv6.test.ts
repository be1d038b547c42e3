import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { until } from '../../../driver/host/until.ts';
import { addressBytes, canonical, contains, formatAddress, formatSubnet, last, overlap, parseAddress, parseSubnet, size } from '../../../driver/ipam/address.ts';
import { chooseSubnet6 } from '../../../driver/ipam/choose.ts';
import { makePool, parsePoolId, pickFree, poolId } from '../../../driver/ipam/pool.ts';
import { announcement } from '../../../driver/kernel/announce.ts';
import { commands } from '../../../driver/kernel/apply.ts';
import { diff } from '../../../driver/overlay/diff.ts';
import { plan, type Attachment } from '../../../driver/overlay/plan.ts';
import type { Claim, Network } from '../../../driver/overlay/records.ts';
import { ruleset } from '../../../driver/overlay/rules.ts';
import { emptyState } from '../../../driver/overlay/state.ts';
import { MemoryStore } from '../../../driver/store/memory.ts';
import { unitHost, type UnitHost } from './support.ts';

describe('addresses', () => {
  it.each([
    ['fd00::2', 'fd00::2'],
    ['FD00:0:0::0:2', 'fd00::2'],
    ['::', '::'],
    ['::1', '::1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['2001:db8::192.0.2.1', '2001:db8::c000:201'],
    ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ])('%s are written %s', (text, plain) => {
    expect(canonical(text)).toBe(plain);
    expect(formatAddress(parseAddress(plain))).toBe(plain);
  });
  it('go over the wire in 16 bytes, and those of IPv4 in 4', () => {
    expect(addressBytes('fd00:1::c').toString('hex')).toBe('fd00000100000000000000000000000c');
    expect(addressBytes('10.42.0.1').toString('hex')).toBe('0a2a0001');
  });
  it('are in subnets of their own family only', () => {
    const subnet = parseSubnet('fd00:1:2:3:4::/64');
    expect(formatSubnet(subnet)).toBe('fd00:1:2:3::/64');
    expect(formatAddress(last(subnet))).toBe('fd00:1:2:3:ffff:ffff:ffff:ffff');
    expect(size(subnet)).toBe(2n ** 64n);
    expect(contains(subnet, parseAddress('10.42.0.1'))).toBe(false);
    expect(overlap(parseSubnet('0.0.0.0/0'), parseSubnet('fc00::/7'))).toBe(false);
    expect(() => parseSubnet('fd00::/129')).toThrow(/not a subnet/);
  });
  it('are given from the lowest on', () => {
    const pool = makePool('fd00::/64', 'fd00::100/120');
    expect(poolId(parsePoolId(poolId(pool)))).toBe('coat/fd00::/64,fd00::100/120');
    expect(formatAddress(pickFree(pool, (address) => address === parseAddress('fd00::100'))!)).toBe('fd00::101');
    expect(formatAddress(pickFree(makePool('fd00::/64', ''), () => false)!)).toBe('fd00::1');
  });
  it('that nobody names are local ones by chance', () => {
    const found = Array.from({ length: 50 }, () => formatSubnet(chooseSubnet6([])));
    expect(new Set(found).size).toBe(50);
    for (const subnet of found) expect(subnet).toMatch(/^fd[0-9a-f]{2}:.*::\/64$/);
  });
});

const network: Network = { key: '10.42.0.0-24', subnet: '10.42.0.0/24', gateway: '10.42.0.1', subnet6: 'fd00:42::/64', gateway6: 'fd00:42::1', vni: 42, mtu: 1450, options: {}, internal: false };
const [bridge, port] = ['cb00002a', 'cv0123456789'];

describe('the plan', () => {
  const hosts = new Map([['a', { name: 'a', address: 'fd00::a' }], ['b', { name: 'b', address: 'fd00::b' }]]);
  const [mine, theirs] = ['02:42:0a:2a:00:02', '02:42:0a:2a:00:03'];
  const local: Attachment = { network, ip: '10.42.0.2', ip6: 'fd00:42::2', mac: mine, link: '0123456789', cut: false, attached: true, accepting: false };
  const claims = new Map<string, Claim>(
    [
      { ip: '10.42.0.2', mac: mine, ip6: 'fd00:42::2', host: 'a' },
      { ip: 'fd00:42::2', host: 'a' },
      { ip: '10.42.0.3', mac: theirs, ip6: 'fd00:42::3', host: 'b' },
      { ip: 'fd00:42::3', host: 'b' },
    ].map((claim) => [`${network.key}/${claim.ip}`, { network: network.key, epoch: 1, ...claim }]),
  );
  const wanted = () => plan({ hosts, claims }, [local], { host: 'a', address: 'fd00::a', vxlanPort: 4798 }).state;

  it('has a gateway and a neighbour of each family, and one way for both', () => {
    const state = wanted();
    expect(state.bridges.get(bridge)).toMatchObject({ address: '10.42.0.1/24', address6: 'fd00:42::1/64' });
    expect([...state.neighbours.values()].map(({ ip, mac }) => [ip, mac])).toEqual([['10.42.0.2', mine], ['fd00:42::2', mine], ['10.42.0.3', theirs], ['fd00:42::3', theirs]]);
    expect([...state.forwards.values()].map(({ mac, dev }) => [mac, dev])).toEqual([[mine, port], [theirs, 'cx00002a']]);
    expect([...state.tunnels.values()].map(({ mac, dst }) => [mac, dst])).toEqual([['00:00:00:00:00:00', 'fd00::b'], [theirs, 'fd00::b']]);
  });

  it('is said to the programs, the address when IPv6 is on', () => {
    const { ip, ipv6, address6, bridge: lines } = commands(diff(wanted(), emptyState()));
    expect(ip).toContain('link add dev cx00002a mtu 1450 type vxlan id 42 dstport 4798 local fd00::a nolearning');
    expect(ipv6).toEqual([bridge]);
    expect(address6).toEqual([`address add fd00:42::1/64 dev ${bridge} nodad`]);
    expect(lines).toContain(`fdb replace ${theirs} dev cx00002a dst fd00::b self permanent`);
    const have = wanted();
    have.bridges.set(bridge, { ...have.bridges.get(bridge)!, address6: 'fd00:42::9/64' });
    expect(commands(diff(wanted(), have)).address6).toEqual([`address del fd00:42::9/64 dev ${bridge}`, `address add fd00:42::1/64 dev ${bridge} nodad`]);
  });

  it('of an internal network has no gateway of either', () => {
    const { state } = plan({ hosts, claims }, [{ ...local, network: { ...network, internal: true } }], { host: 'a', address: 'fd00::a', vxlanPort: 4798 });
    expect(state.bridges.get(bridge)).toMatchObject({ address: undefined, address6: undefined });
  });

  it('lets out with the address of the host, and believes no container to be a router', () => {
    const text = ruleset([network, { ...network, vni: 43, subnet6: 'fd00:43::/64', internal: true }], { port: 4798, hosts: ['fd00::1', 'fd00::2'] });
    expect(text).toContain('udp dport 4798 ip6 saddr != { fd00::1, fd00::2 } drop');
    expect(text).toContain(`ip6 saddr fd00:42::/64 oifname != "${bridge}" masquerade`);
    expect(text).not.toContain('fd00:43::');
    expect(text).toContain('iifname "cb*" icmpv6 type { nd-router-advert, nd-redirect } drop');
  });
});

describe('an announcement', () => {
  it('is a neighbour advertisement to all nodes, with the right sum', () => {
    const frame = announcement({ ip: 'fd00:42::3', mac: '02:42:0a:2a:00:03' });
    expect(frame.subarray(0, 22).toString('hex')).toBe('333300000001' + '02420a2a0003' + '86dd' + '60000000' + '0020' + '3a' + 'ff');
    expect(frame.subarray(54, 56).toString('hex')).toBe('8800');
    // the sum over all that it covers, itself included, is nothing (RFC 1071)
    const covered = Buffer.concat([frame.subarray(22, 54), Buffer.of(0, 0, 0, 32, 0, 0, 0, 58), frame.subarray(54)]);
    let sum = 0;
    for (let at = 0; at < covered.length; at += 2) sum += covered.readUInt16BE(at);
    expect((sum & 0xffff) + (sum >>> 16)).toBe(0xffff);
  });
});

describe('a network with both', () => {
  const KEY = '10.42.0.0-24';
  const NetworkID = '447a'.repeat(16);
  const EndpointID = 'a421'.repeat(16);
  const [Pool4, Pool6] = ['coat/10.42.0.0/24', 'coat/fd00:42::/64'];
  const GATEWAY = { RequestAddressType: 'com.docker.network.gateway' };
  let store: MemoryStore;
  let a: UnitHost;
  let b: UnitHost;
  beforeEach(async () => {
    store = new MemoryStore();
    a = await unitHost(store, 'a');
    b = await unitHost(store, 'b');
  });
  afterEach(async () => {
    vi.useRealTimers();
    for (const { driver } of [a, b]) await driver.stop();
  });

  /** As both engines ask, in their order. */
  async function create(host: UnitHost, { subnet6 = 'fd00:42::/64', id = NetworkID, subnet = '10.42.0.0/24' } = {}): Promise<string> {
    await host.call('IpamDriver.RequestPool', { Pool: subnet, V6: false });
    await host.call('IpamDriver.RequestAddress', { PoolID: `coat/${subnet}`, Address: '', Options: GATEWAY });
    const { PoolID, Pool } = (await host.call('IpamDriver.RequestPool', { Pool: subnet6, V6: true })) as { PoolID: string; Pool: string };
    const { Address } = (await host.call('IpamDriver.RequestAddress', { PoolID, Address: '', Options: GATEWAY })) as { Address: string };
    await host.call('NetworkDriver.CreateNetwork', {
      NetworkID: id,
      Options: { 'com.docker.network.enable_ipv6': true },
      IPv4Data: [{ AddressSpace: 'coat', Pool: subnet, Gateway: `${subnet.replace(/0\/.*/, '1')}/24` }],
      IPv6Data: [{ AddressSpace: 'coat', Pool, Gateway: Address }],
    });
    return Pool;
  }
  const lease = async (host: UnitHost, PoolID: string, Address = ''): Promise<string> => ((await host.call('IpamDriver.RequestAddress', { PoolID, Address })).Address as string);
  const claim = async (ip: string): Promise<Partial<Claim> | undefined> => (await store.get(`claims/${KEY}/${ip}`))?.value as Partial<Claim> | undefined;
  const endpoint = (host: UnitHost, Address: string, AddressIPv6: string, id = EndpointID): Promise<unknown> =>
    host.call('NetworkDriver.CreateEndpoint', { NetworkID, EndpointID: id, Interface: { Address, AddressIPv6, MacAddress: '' } });

  it('is one record, and the same for all hosts', async () => {
    await create(a);
    await create(b);
    expect((await store.list('networks/')).entries.map(({ value }) => value)).toMatchObject([{ key: KEY, subnet6: 'fd00:42::/64', gateway6: 'fd00:42::1', created: true }]);
    await expect(create(b, { subnet6: 'fd00:43::/64' })).rejects.toThrow(/exists on other hosts with the IPv6 subnet fd00:42::\/64/);
    await expect(create(b, { id: 'ff', subnet: '10.43.0.0/24', subnet6: 'fd00:42::/48' })).rejects.toThrow(/fd00:42::\/48 overlaps fd00:42::\/64/);
  });

  it('has an IPv6 subnet of its own where nobody names one, and no addresses of choice on that engine', async () => {
    const subnet6 = await create(a, { subnet6: '' });
    expect(subnet6).toMatch(/^fd/);
    await create(b, { subnet6 });
    await a.driver.settled((await store.list('')).revision);
    expect([a.driver.letsChoose(KEY), b.driver.letsChoose(KEY)]).toEqual([false, true]);
  });

  it('gives each endpoint two addresses, whose claims come and go together', async () => {
    await create(a);
    await create(b);
    expect([await lease(a, Pool4), await lease(a, Pool6)]).toEqual(['10.42.0.2/24', 'fd00:42::2/64']);
    expect(await lease(b, Pool6, 'FD00:42:0::77')).toBe('fd00:42::77/64');
    await expect(lease(b, Pool6, 'fd00:42::2')).rejects.toThrow(/fd00:42::2 is in use on host a/);
    await expect(lease(b, Pool6, 'fd00:42::1')).rejects.toThrow(/is the gateway of fd00:42::\/64/);
    await expect(lease(b, Pool6, 'fd00:43::5')).rejects.toThrow(/not an address for an interface/);
    await endpoint(a, '10.42.0.2/24', 'fd00:42::2/64');
    expect(await claim('10.42.0.2')).toMatchObject({ mac: '02:42:0a:2a:00:02', ip6: 'fd00:42::2' });
    // only the first of both says where it is
    expect(await claim('fd00:42::2')).toEqual({ network: KEY, ip: 'fd00:42::2', host: 'a', epoch: 1 });
    expect(await a.call('NetworkDriver.Join', { NetworkID, EndpointID })).toMatchObject({ Gateway: '10.42.0.1', GatewayIPv6: 'fd00:42::1' });
    expect(a.kernel.told).toContain(`neighbour replace fd00:42::2 lladdr 02:42:0a:2a:00:02 dev cb${a.driver.replica.networks.get(KEY)!.vni.toString(16).padStart(6, '0')} nud permanent extern_learn`);
    await a.driver.discard(EndpointID);
    expect([await claim('10.42.0.2'), await claim('fd00:42::2')]).toEqual([undefined, undefined]);
  });

  it('lets the destination of a move have both', async () => {
    await create(a);
    await create(b);
    const [ip, ip6] = [await lease(a, Pool4), await lease(a, Pool6)];
    await endpoint(a, ip, ip6);
    for (const address of ['10.42.0.2', 'fd00:42::2']) await store.put(`claims/${KEY}/${address}`, { ...(await claim(address)), movingTo: 'b' }, 'any');
    await b.driver.settled((await store.list('')).revision);
    expect([await lease(b, Pool4, '10.42.0.2'), await lease(b, Pool6, 'fd00:42::2')]).toEqual([ip, ip6]);
    // what Docker starts there of itself would be a second one, until its frames go there
    await expect(endpoint(b, ip, ip6)).rejects.toThrow('is being moved here');
    for (const address of ['10.42.0.2', 'fd00:42::2']) await store.put(`claims/${KEY}/${address}`, { ...(await claim(address)), redirect: 'b' }, 'any');
    await b.driver.settled((await store.list('')).revision);
    await expect(endpoint(b, ip, 'fd00:42::9/64')).rejects.toThrow();
    await endpoint(b, ip, ip6);
    // neither side frees what is on its way
    for (const host of [a, b]) await host.call('IpamDriver.ReleaseAddress', { PoolID: Pool6, Address: 'fd00:42::2' });
    expect(await claim('fd00:42::2')).toMatchObject({ host: 'a', movingTo: 'b' });
  });

  it('takes the IPv4 address back that Docker forgets when it is refused the other', async () => {
    await create(a);
    await create(b);
    await lease(b, Pool6, 'fd00:42::7');
    expect(await lease(a, Pool4)).toBe('10.42.0.2/24');
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    await expect(lease(a, Pool6, 'fd00:42::7')).rejects.toThrow(/in use/);
    expect(await claim('10.42.0.2')).toBeUndefined();

    // of two that begin at once, the wrong one's
    const [refused, other] = [await lease(a, Pool4), await lease(a, Pool4)];
    await expect(lease(a, Pool6, 'fd00:42::7')).rejects.toThrow(/in use/);
    expect([refused, other]).toEqual(['10.42.0.3/24', '10.42.0.4/24']);
    expect(await claim('10.42.0.4')).toBeUndefined();
    await endpoint(a, other, await lease(a, Pool6));
    expect(await claim('10.42.0.4')).toMatchObject({ host: 'a', mac: '02:42:0a:2a:00:04' });
    const later = await lease(a, Pool4);
    vi.advanceTimersByTime(5_000);
    vi.useRealTimers();
    await until('the address to be free', async () => (await claim('10.42.0.3')) === undefined);
    // what was leased later may still become an endpoint
    for (const ip of ['10.42.0.4', later.split('/')[0]!]) expect(await claim(ip)).toMatchObject({ host: 'a' });
  });

  it('has spare addresses of both for a time without the store', async () => {
    await create(a);
    await a.driver.stop();
    a = await unitHost(store, 'a', a.stateDir);
    const spares = (): Claim[] => [...a.driver.replica.claims.values()].filter(({ spare }) => spare);
    await until('spares', () => spares().length === 8);
    store.away = true;
    await expect(b.call('IpamDriver.RequestAddress', { PoolID: Pool6, Address: '' })).rejects.toThrow(/store/);
    await until('a to notice', () => !a.driver.replica.connected, { timeout: 10_000 });
    const [ip, ip6] = [await lease(a, Pool4), await lease(a, Pool6)];
    expect([ip, ip6]).toEqual(['10.42.0.254/24', 'fd00:42::ffff:ffff:ffff:fffe/64']);
    await endpoint(a, ip, ip6);
    store.away = false;
    await until('the claims to be known', async () => (await claim('10.42.0.254'))?.ip6 !== undefined, { timeout: 10_000 });
    await until('the second to be no spare', async () => (await claim('fd00:42::ffff:ffff:ffff:fffe'))?.spare === undefined, { timeout: 10_000 });
  });
});
