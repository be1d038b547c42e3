import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../../../driver/host/until.ts';
import { MemoryStore } from '../../../driver/store/memory.ts';
import { callPlugin } from '../../support/caller.ts';
import { unitHost, type UnitHost } from './support.ts';

const SUBNET = '10.42.0.0/24';
const KEY = '10.42.0.0-24';
const PoolID = `coat/${SUBNET}`;
const NetworkID = '447a'.repeat(16);
const EndpointID = 'a421'.repeat(16);
const GATEWAY = { RequestAddressType: 'com.docker.network.gateway' };

/** As a Docker Engine 28.5.2 sends it. */
const createNetwork = (change: object = {}, ipam: object = {}) => ({
  NetworkID,
  Options: { 'com.docker.network.enable_ipv4': true, 'com.docker.network.enable_ipv6': false, 'com.docker.network.generic': { multicast: 'off' } },
  IPv4Data: [{ AddressSpace: 'coat', Gateway: '10.42.0.1/24', Pool: SUBNET, ...ipam }],
  IPv6Data: [],
  ...change,
});
const createEndpoint = (Address: string, MacAddress = '', id = EndpointID) => ({
  NetworkID,
  EndpointID: id,
  Interface: { Address, AddressIPv6: '', MacAddress },
  Options: {
    'coat.x': '1',
    'com.docker.network.endpoint.exposedports': [{ Proto: 6, Port: 80 }],
    'com.docker.network.endpoint.macaddress': 'AkKqu8zd',
    'com.docker.network.portmap': [{ Proto: 6, IP: '', Port: 80, HostIP: '', HostPort: 8080, HostPortEnd: 8080 }],
  },
});
const place = { NetworkID, EndpointID };

let store: MemoryStore;
let a: UnitHost;
let b: UnitHost;
beforeEach(async () => {
  store = new MemoryStore();
  await store.put('hosts/a', { name: 'a', address: '192.168.0.1' }, 'any');
  await store.put('hosts/b', { name: 'b', address: '192.168.0.2' }, 'any');
  [a, b] = [await unitHost(store, 'a'), await unitHost(store, 'b')];
});
afterEach(async () => {
  await a.driver.stop();
  await b.driver.stop();
});

/** What an engine asks before CreateNetwork. */
async function prepare(host: UnitHost): Promise<void> {
  await host.call('IpamDriver.RequestPool', { AddressSpace: 'coat', Pool: SUBNET, SubPool: '', Options: null, V6: false });
  await host.call('IpamDriver.RequestAddress', { PoolID, Address: '', Options: GATEWAY });
}
async function network(host: UnitHost): Promise<void> {
  await prepare(host);
  await host.call('NetworkDriver.CreateNetwork', createNetwork());
}
const lease = async (host: UnitHost, Address = '', Options: object | null = null): Promise<string> =>
  (await host.call('IpamDriver.RequestAddress', { PoolID, Address, Options })).Address as string;
const claim = async (ip: string): Promise<Record<string, unknown> | undefined> => (await store.get(`claims/${KEY}/${ip}`))?.value as Record<string, unknown> | undefined;
const patch = async (ip: string, change: object): Promise<void> => {
  const revision = await store.put(`claims/${KEY}/${ip}`, { ...(await claim(ip)), ...change }, 'any');
  await Promise.all([a.driver.settled(revision), b.driver.settled(revision)]);
};

describe('the wire', () => {
  it('tells what it is', async () => {
    expect(await callPlugin(a.driver, 'Plugin.Activate', '')).toEqual({ status: 200, json: { Implements: ['NetworkDriver', 'IpamDriver'] } });
    expect((await callPlugin(a.driver, 'NetworkDriver.GetCapabilities', '')).json).toEqual({ Scope: 'local', ConnectivityScope: 'global' });
    expect((await callPlugin(a.driver, 'IpamDriver.GetCapabilities', '')).json).toEqual({ RequiresMACAddress: false, RequiresRequestReplay: false });
    const spaces = await callPlugin(a.driver, 'IpamDriver.GetDefaultAddressSpaces', '');
    expect(spaces.json.LocalDefaultAddressSpace).toBe(spaces.json.GlobalDefaultAddressSpace);
  });

  it.each([
    ['NetworkDriver.CreateNetwork', '', 500, /without its content.*try again/],
    ['NetworkDriver.Join', '{"NetworkID":', 500, /not JSON/],
    ['NetworkDriver.Join', 'null', 500, /makes no sense/],
    ['NetworkDriver.Join', '{"NetworkID":"x"}', 500, /EndpointID/],
    ['NetworkDriver.Nonsense', '{}', 404, /does not have NetworkDriver.Nonsense/],
    ['NetworkDriver.DeleteNetwork', `"${'x'.repeat(5 << 20)}"`, 400, /too large/],
    ['NetworkDriver.DeleteNetwork', '{"NetworkID":"../../etc"}', 500, /not an id/],
  ])('answers %s %.20j with a sentence', async (method, body, status, sentence) => {
    const answer = await callPlugin(a.driver, method, body);
    expect(answer.status).toBe(status);
    expect(answer.json.Err).toMatch(sentence);
    expect((await callPlugin(a.driver, 'Plugin.Activate', '')).status).toBe(200);
  });

  it('does nothing for Swarm, and publishes nothing of what it does not know', async () => {
    expect(await a.call('NetworkDriver.DiscoverNew', { DiscoveryType: 1, DiscoveryData: { Address: '1.2.3.4', Self: true } })).toEqual({});
    expect(await a.call('NetworkDriver.ProgramExternalConnectivity', { ...place, Options: null })).toEqual({});
    expect(await a.call('NetworkDriver.ProgramExternalConnectivity', { ...place, Options: { 'com.docker.network.portmap': [] } })).toEqual({});
    await expect(a.call('NetworkDriver.ProgramExternalConnectivity', { ...place, Options: { 'com.docker.network.portmap': [{ Proto: 6, IP: '', Port: 80, HostIP: '', HostPort: 8080, HostPortEnd: 8080 }] } })).rejects.toThrow(/no endpoint a421a421a421 whose ports/);
    expect(await a.call('NetworkDriver.RevokeExternalConnectivity', place)).toEqual({});
    expect(await a.call('NetworkDriver.EndpointOperInfo', place)).toEqual({ Value: {} });
  });
});

describe('networks', () => {
  it('are one record for all hosts', async () => {
    await network(a);
    await network(b);
    const { value } = (await store.get(`networks/${KEY}`))!;
    expect(value).toMatchObject({ key: KEY, subnet: SUBNET, gateway: '10.42.0.1', mtu: 1450, created: true, internal: false, options: { multicast: 'off' } });
    expect(a.driver.networksOnEngine()).toEqual([{ id: NetworkID, network: value }]);
    expect((await store.list('claims/')).entries).toEqual([]);
  });

  it('survive a restart of the driver', async () => {
    await network(a);
    await a.driver.stop();
    writeFileSync(join(a.stateDir, 'networks', 'broken.json'), '{"id":');
    a = await unitHost(store, 'a', a.stateDir);
    expect(a.driver.networksOnEngine()).toHaveLength(1);
  });

  it('can be created again by a repeated call, and deleted twice', async () => {
    await network(a);
    await a.call('NetworkDriver.CreateNetwork', createNetwork());
    // as the agent does it when it has learned the name
    const { value, revision } = (await store.get(`networks/${KEY}`))!;
    await a.driver.settled(await store.put(`networks/${KEY}`, { ...(value as object), name: 'shop' }, revision));
    await a.call('NetworkDriver.DeleteNetwork', { NetworkID });
    await a.call('NetworkDriver.DeleteNetwork', { NetworkID });
    await a.call('IpamDriver.ReleaseAddress', { PoolID, Address: '10.42.0.1' });
    await a.call('IpamDriver.ReleasePool', { PoolID });
    expect(a.driver.networksOnEngine()).toEqual([]);
    expect(await store.get(`networks/${KEY}`)).toBeDefined();
  });

  it('remember an internal one', async () => {
    await prepare(a);
    await a.call('NetworkDriver.CreateNetwork', createNetwork({ Options: { 'com.docker.network.internal': true, 'com.docker.network.generic': {} } }));
    await a.call('NetworkDriver.CreateEndpoint', createEndpoint(await lease(a)));
    expect(await a.call('NetworkDriver.Join', place)).toMatchObject({ DisableGatewayService: true });
    expect(a.kernel.told.some((line) => line.startsWith('address add'))).toBe(false);
  });

  it.each([
    [{}, { AddressSpace: 'LocalDefault' }, /add --ipam-driver coat$/],
    [{ IPv4Data: null }, {}, /one IPv4 subnet/],
    [{ IPv4Data: [], IPv6Data: [{ AddressSpace: 'coat', Pool: 'fd00::/64' }] }, {}, /IPv6 beside IPv4, not alone; leave --ipv4=false out/],
    [{ IPv6Data: [{ AddressSpace: 'coat', Pool: 'fd00::/64' }, { AddressSpace: 'coat', Pool: 'fd01::/64' }] }, {}, /one IPv6 subnet/],
    [{ Options: { 'com.docker.network.enable_ipv6': true } }, {}, /chooses no IPv6 subnet by itself; name one, for example --subnet fd[0-9a-f:]+::\/64/],
    [{ IPv6Data: [{ AddressSpace: 'coat', Pool: 'fd00::/64' }], Options: { 'com.docker.network.generic': { mtu: '1279' } } }, {}, /IPv6 needs an mtu of 1280/],
    [{ Options: { 'com.docker.network.generic': { 'com.docker.network.driver.mtu': '12' } } }, {}, /mtu is a number from 576/],
    [{ Options: { 'com.docker.network.generic': { mtu: '1500' } } }, {}, /1500 bytes is more than the 1450/],
    [{ Options: { 'com.docker.network.generic': { encrypted: '' } } }, {}, /does not encrypt/],
    [{ Options: { 'com.docker.network.generic': { 'coat.colour': 'blue' } } }, {}, /no option "coat.colour"; the options are vni, mtu, multicast/],
    [{}, { Gateway: '10.42.0.9/24' }, /gateway 10.42.0.1/],
  ])('are refused in one sentence: %j %j', async (change, ipam, sentence) => {
    await prepare(a);
    await expect(a.call('NetworkDriver.CreateNetwork', createNetwork(change, ipam))).rejects.toThrow(sentence);
    expect(a.driver.networksOnEngine()).toEqual([]);
  });

  it('may not differ between hosts', async () => {
    await network(a);
    await prepare(b);
    await expect(b.call('NetworkDriver.CreateNetwork', createNetwork({ Options: {} }))).rejects.toThrow(/exists on other hosts with the options/);
    await expect(b.call('NetworkDriver.CreateNetwork', createNetwork({ Options: { ...createNetwork().Options, 'com.docker.network.internal': true } }))).rejects.toThrow(/no --internal/);
    await expect(b.call('IpamDriver.RequestAddress', { PoolID, Address: '10.42.0.7', Options: GATEWAY })).rejects.toThrow(/has the gateway 10.42.0.1/);
    await expect(b.call('IpamDriver.RequestPool', { Pool: '10.42.0.0/16' })).rejects.toThrow(/overlaps 10.42.0.0\/24/);
    await expect(a.call('NetworkDriver.CreateNetwork', { ...createNetwork(), NetworkID: 'ffff' })).rejects.toThrow(/already has the subnet/);
  });

  it('take the gateway and the reserved addresses the user names', async () => {
    await a.call('IpamDriver.RequestPool', { Pool: SUBNET });
    expect((await a.call('IpamDriver.RequestAddress', { PoolID, Address: '10.42.0.254', Options: GATEWAY })).Address).toBe('10.42.0.254/24');
    expect(await lease(a, '10.42.0.2')).toBe('10.42.0.2/24');
    const given = { Gateway: '10.42.0.254/24', AuxAddresses: { r: '10.42.0.2/24' } };
    await a.call('NetworkDriver.CreateNetwork', createNetwork({}, given));
    // another host repeats it all
    await b.call('IpamDriver.RequestPool', { Pool: SUBNET });
    await b.call('IpamDriver.RequestAddress', { PoolID, Address: '10.42.0.254', Options: GATEWAY });
    expect(await lease(b, '10.42.0.2')).toBe('10.42.0.2/24');
    await b.call('NetworkDriver.CreateNetwork', createNetwork({}, given));
    expect((await store.list('claims/')).entries).toEqual([]);
    expect(await lease(b)).toBe('10.42.0.1/24');
    expect(await lease(b)).toBe('10.42.0.3/24');
    await expect(b.call('NetworkDriver.CreateEndpoint', createEndpoint('10.42.0.2/24'))).rejects.toThrow(/reserved/);
    await expect(lease(b, '10.42.0.254')).rejects.toThrow(/is the gateway/);
  });
});

describe('pools and addresses', () => {
  it('need a subnet for a range, and one of their family', async () => {
    await expect(a.call('IpamDriver.RequestPool', { AddressSpace: 'coat', Pool: '', SubPool: '10.42.0.128/25', Options: {}, V6: false })).rejects.toThrow(/add --subnet 10.42.0.0\/24/);
    await expect(a.call('IpamDriver.RequestPool', { Pool: 'fd00::/64', V6: false })).rejects.toThrow(/is not an IPv4 subnet/);
    await expect(a.call('IpamDriver.RequestPool', { Pool: '10.42.0.0/24', V6: true })).rejects.toThrow(/is not an IPv6 subnet/);
    await expect(a.call('IpamDriver.RequestPool', { Pool: 'fd00::/127', V6: true })).rejects.toThrow(/prefix length from 16 to 126/);
  });

  it('are different for all, and not given again at once', async () => {
    await network(a);
    await network(b);
    const all = await Promise.all(Array.from({ length: 20 }, (_, index) => lease(index % 2 ? a : b)));
    expect(new Set(all).size).toBe(20);
    expect(all).not.toContain('10.42.0.1/24');
    const last = await lease(a);
    await a.call('IpamDriver.ReleaseAddress', { PoolID, Address: last.split('/')[0] });
    expect(await lease(a)).not.toBe(last);
  });

  it('run out with a sentence', async () => {
    await a.call('IpamDriver.RequestPool', { Pool: '10.9.0.0/30' });
    const ask = () => a.call('IpamDriver.RequestAddress', { PoolID: 'coat/10.9.0.0/30', Address: '', Options: null });
    expect((await ask()).Address).toBe('10.9.0.2/30');
    await expect(ask()).rejects.toThrow(/all addresses of 10.9.0.0\/30 are in use/);
  });

  it('name the owner of one that is taken', async () => {
    await network(a);
    await network(b);
    await lease(b, '10.42.0.9', { 'com.docker.network.endpoint.name': 'web' });
    await patch('10.42.0.9', { container: 'web' });
    await expect(lease(a, '10.42.0.9')).rejects.toThrow(/in use by the container web on host b/);
    expect(await lease(b, '10.42.0.9')).toBe('10.42.0.9/24');
    for (const bad of ['10.42.0.0', '10.42.0.255', '10.43.0.5']) await expect(lease(a, bad)).rejects.toThrow(/not an address for an interface/);
  });

  it('are refused twice on one host while the first is alive', async () => {
    await network(a);
    await a.call('NetworkDriver.CreateEndpoint', createEndpoint(await lease(a, '10.42.0.9')));
    await a.call('NetworkDriver.Join', place);
    await expect(lease(a, '10.42.0.9')).rejects.toThrow(/in use/);
    // its container died with its interface, and Docker never said so
    a.kernel.links.clear();
    expect(await lease(a, '10.42.0.9')).toBe('10.42.0.9/24');
    await a.call('NetworkDriver.CreateEndpoint', createEndpoint('10.42.0.9/24', '', 'b'.repeat(64)));
    expect(a.driver.endpointsOnEngine().map(({ id }) => id)).toEqual(['b'.repeat(64)]);
  });

  it('belong to the destination of a move, and the source cannot free them', async () => {
    await network(a);
    await network(b);
    await lease(a, '10.42.0.9');
    await patch('10.42.0.9', { mac: '02:42:0a:2a:00:09', movingTo: 'b' });
    expect(await lease(b, '10.42.0.9')).toBe('10.42.0.9/24');
    await a.call('IpamDriver.ReleaseAddress', { PoolID, Address: '10.42.0.9' });
    expect(await claim('10.42.0.9')).toMatchObject({ host: 'a' });
    await b.call('IpamDriver.ReleaseAddress', { PoolID, Address: '10.42.0.9' });
    expect(await claim('10.42.0.9')).toMatchObject({ host: 'a' });
    await patch('10.42.0.9', { host: 'b', epoch: 2, movingTo: undefined });
    await a.call('IpamDriver.ReleaseAddress', { PoolID, Address: '10.42.0.9' });
    expect(await claim('10.42.0.9')).toMatchObject({ host: 'b', epoch: 2 });
    await b.call('IpamDriver.ReleaseAddress', { PoolID, Address: '10.42.0.9' });
    expect(await claim('10.42.0.9')).toBeUndefined();
  });
});

describe('endpoints', () => {
  beforeEach(() => network(a));

  it('get a MAC of their address, which goes into the claim, and only if they have none', async () => {
    const Address = await lease(a);
    expect(await a.call('NetworkDriver.CreateEndpoint', createEndpoint(Address))).toEqual({ Interface: { MacAddress: '02:42:0a:2a:00:02' } });
    expect(await claim('10.42.0.2')).toMatchObject({ host: 'a', mac: '02:42:0a:2a:00:02', epoch: 1 });
    expect(await a.call('NetworkDriver.CreateEndpoint', createEndpoint(Address))).toEqual({ Interface: { MacAddress: '02:42:0a:2a:00:02' } });
    const other = await lease(a);
    expect(await a.call('NetworkDriver.CreateEndpoint', createEndpoint(other, '02:42:AA:bb:cc:dd', 'e2'))).toEqual({ Interface: {} });
    expect(await claim('10.42.0.3')).toMatchObject({ mac: '02:42:aa:bb:cc:dd' });
  });

  it('join, leave and go, each as often as Docker likes', async () => {
    await a.call('NetworkDriver.CreateEndpoint', createEndpoint(await lease(a)));
    const answer = await a.call('NetworkDriver.Join', { ...place, SandboxKey: '/var/run/docker/netns/a421a4704a95', Options: {} });
    expect(answer).toEqual({ InterfaceName: { SrcName: expect.stringMatching(/^ci[0-9a-f]{10}$/) as string, DstPrefix: 'eth' }, Gateway: '10.42.0.1' });
    expect(await a.call('NetworkDriver.Join', place)).toEqual(answer);
    expect(a.kernel.told.filter((line) => line.startsWith('ip link add name cv'))).toHaveLength(1);
    for (const method of ['Leave', 'DeleteEndpoint', 'Leave', 'DeleteEndpoint']) expect(await a.call(`NetworkDriver.${method}`, place)).toEqual({});
    expect(readdirSync(join(a.stateDir, 'endpoints'))).toEqual([]);
  });

  it('can be discarded when Docker lost them', async () => {
    await a.call('NetworkDriver.CreateEndpoint', createEndpoint(await lease(a)));
    await a.driver.discard(EndpointID);
    await a.driver.discard(EndpointID);
    expect(a.driver.endpointsOnEngine()).toEqual([]);
    expect(await claim('10.42.0.2')).toBeUndefined();
  });

  it('are refused where nothing is known of them', async () => {
    await expect(a.call('NetworkDriver.Join', place)).rejects.toThrow(/no endpoint/);
    await expect(a.call('NetworkDriver.CreateEndpoint', { ...createEndpoint('10.42.0.2/24'), NetworkID: 'ffff' })).rejects.toThrow(/remove the network and create it again/);
    await expect(a.call('NetworkDriver.CreateEndpoint', createEndpoint(''))).rejects.toThrow(/needs an IPv4 address/);
    await lease(b, '10.42.0.9');
    await expect(a.call('NetworkDriver.CreateEndpoint', createEndpoint('10.42.0.9/24'))).rejects.toThrow(/in use on host b/);
  });

  it('leave nothing behind when the kernel refuses', async () => {
    await a.call('NetworkDriver.CreateEndpoint', createEndpoint(await lease(a)));
    const run = a.kernel.run.bind(a.kernel);
    a.kernel.run = async (argv, options) => {
      if (argv.join(' ').startsWith('ip link add')) throw new Error('RTNETLINK answers: Operation not permitted');
      return run(argv, options);
    };
    await expect(a.call('NetworkDriver.Join', place)).rejects.toThrow(/not permitted/);
    expect(a.driver.endpointsOnEngine()).toMatchObject([{ joined: false }]);
    expect(a.kernel.told.filter((line) => line.startsWith('link del'))).toEqual([]);
  });
});

describe('while the store is away', () => {
  it('what is known works, what is new is refused, and what is given back is given back later', async () => {
    await network(a);
    await a.call('NetworkDriver.CreateEndpoint', createEndpoint(await lease(a)));
    store.away = true;
    await a.call('NetworkDriver.Join', place);
    await a.call('NetworkDriver.Leave', place);
    await a.call('NetworkDriver.DeleteEndpoint', place);
    await expect(lease(a)).rejects.toThrow(/store of the cluster does not answer.*docker coat status/);
    expect(await lease(a, '10.42.0.2')).toBe('10.42.0.2/24');
    await a.call('IpamDriver.ReleaseAddress', { PoolID, Address: '10.42.0.2' });
    await a.driver.stop();
    a = await unitHost(store, 'a', a.stateDir);
    expect(a.driver.replica.connected).toBe(false);
    expect(a.driver.replica.claims.has(`${KEY}/10.42.0.2`)).toBe(true);
    store.away = false;
    await until('the address to be given back', async () => (await claim('10.42.0.2')) === undefined);
    await until('the memory of it to go', () => readdirSync(join(a.stateDir, 'releases')).length === 0);
  });
});
