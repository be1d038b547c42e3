import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { silent } from '../../../driver/host/log.ts';
import { hostAddress, hostMac, isHostAddress } from '../../../driver/overlay/names.ts';
import { plan, type Attachment } from '../../../driver/overlay/plan.ts';
import type { Claim, Host, Network, PublishedPort } from '../../../driver/overlay/records.ts';
import { Holds } from '../../../driver/publish/holds.ts';
import { concernsPorts, publications, type Publisher } from '../../../driver/publish/plan.ts';
import { portsAt, readPorts, withPorts } from '../../../driver/publish/ports.ts';
import { portRules } from '../../../driver/publish/rules.ts';

const network: Network = { key: '10.42.0.0-24', subnet: '10.42.0.0/24', gateway: '10.42.0.1', vni: 42, mtu: 1450, options: {}, internal: false };
const hosts = new Map<string, Host>(['a', 'b', 'c'].map((name, i) => [name, { name, address: `192.168.0.${i + 1}` }]));
const networks = new Map([[network.key, network]]);
const web: PublishedPort = { proto: 'tcp', port: 80, hostPort: 8080 };
const dns: PublishedPort = { proto: 'udp', port: 53, hostPort: 53 };
const at = (...names: string[]): Claim['published'] => names.map((host) => ({ host, ports: [web, dns] }));
const claim = (change: Partial<Claim>): Claim => ({ network: network.key, ip: '10.42.0.2', host: 'a', epoch: 1, mac: '02:42:0a:2a:00:02', ...change });
const endpoint = (change: Partial<Publisher> = {}): Publisher => ({ key: network.key, ip: '10.42.0.2', joined: true, cut: false, published: [web, dns], ...change });

/** What a host has, in short: its ports, and where answers go. */
function seen(self: string, change: Partial<Claim>, endpoints: Publisher[] = [], others: Partial<Parameters<typeof publications>[0]> = {}): { ports: number[]; returns: string[] } {
  const { mappings, returns } = publications({ hosts, networks, claims: new Map([['x', claim(change)]]), ...others }, endpoints, self);
  return { ports: mappings.map(({ port }) => port.hostPort), returns: returns.map(({ proto, to }) => [proto, ...to.map(({ name }) => name)].join(' ')) };
}

describe('what is published where', () => {
  it.each<[string, string, Partial<Claim>, Publisher[], { ports: number[]; returns: string[] }]>([
    ['at once, before the store knows', 'a', {}, [endpoint()], { ports: [8080, 53], returns: [] }],
    ['where it was started', 'a', { published: at('a') }, [endpoint()], { ports: [8080, 53], returns: [] }],
    ['not where Docker took it back', 'a', { published: at('a') }, [endpoint({ published: undefined })], { ports: [], returns: [] }],
    ['not where the container is gone', 'a', { published: at('a') }, [], { ports: [], returns: [] }],
    ['not where the host was off', 'a', { published: at('a') }, [endpoint({ joined: false })], { ports: [], returns: [] }],
    ['where it was, while it moves away', 'a', { published: at('a'), movingTo: 'b', redirect: 'b' }, [endpoint({ cut: true })], { ports: [8080, 53], returns: ['tcp'] }],
    ['where it was, after it moved away', 'a', { host: 'b', published: at('a') }, [], { ports: [8080, 53], returns: ['tcp'] }],
    ['its new host sends answers back', 'b', { host: 'b', published: at('a') }, [endpoint({ published: [] })], { ports: [], returns: ['tcp a', 'udp a'] }],
    ['and has it too where it could', 'b', { host: 'b', published: at('a', 'b') }, [endpoint()], { ports: [8080, 53], returns: ['tcp a', 'udp a'] }],
    ['a third sends them to both', 'c', { host: 'c', published: at('a', 'b') }, [endpoint({ published: [] })], { ports: [], returns: ['tcp a b', 'udp a b'] }],
    ['which take only their own', 'b', { host: 'c', published: at('a', 'b') }, [], { ports: [8080, 53], returns: ['tcp', 'udp'] }],
    ['ahead of the redirect the source still has it', 'a', { published: at('a', 'c'), movingTo: 'b', redirect: 'b' }, [endpoint()], { ports: [8080, 53], returns: ['tcp c', 'udp c'] }],
    ['a host that never had it has nothing', 'c', { host: 'b', published: at('a', 'b') }, [], { ports: [], returns: [] }],
    ['a host that left the cluster is left out', 'b', { host: 'b', published: at('gone') }, [endpoint()], { ports: [8080, 53], returns: [] }],
  ])('%s', (_, self, change, endpoints, wanted) => expect(seen(self, change, endpoints)).toEqual(wanted));

  it('is nothing of an internal network, nor of one that nobody knows', () => {
    const internal = new Map([[network.key, { ...network, internal: true }]]);
    for (const others of [internal, new Map<string, Network>()]) {
      expect(seen('b', { published: at('b') }, [endpoint()], { networks: others })).toEqual({ ports: [], returns: [] });
    }
  });
});

describe('the kernel', () => {
  const self = { host: 'b', address: '192.168.0.2', vxlanPort: 4798 };
  const published = publications({ hosts, networks, claims: new Map([['x', claim({ host: 'b', published: at('a', 'b') })]]) }, [endpoint()], 'b');
  const local: Attachment = { network, ip: '10.42.0.2', mac: '02:42:0a:2a:00:02', link: '0123456789', cut: false, attached: true, accepting: false };

  it('keeps a network where connections come in, and knows the hosts that answers go to', () => {
    const claims = new Map([['10.42.0.0-24/10.42.0.2', claim({ host: 'b', published: at('a', 'b') })]]);
    const away = plan({ hosts, claims }, [], { ...self, host: 'a', address: '192.168.0.1' }, publications({ hosts, networks, claims }, [], 'a'));
    expect([...away.state.bridges.keys()]).toEqual(['cb00002a']);
    expect(away.state.forwards.get('cb00002a 02:42:0a:2a:00:02')?.dev).toBe('cx00002a');
    const { state } = plan({ hosts, claims }, [local], self, published);
    expect(state.tunnels.get(`cx00002a ${hostMac('a')}`)?.dst).toBe('192.168.0.1');
    expect([...state.routes.values()]).toEqual([{ dev: 'cb00002a', to: hostAddress('a', 4) }]);
    expect(plan({ hosts, claims }, [], self, { mappings: [], returns: published.returns })).toMatchObject({ networks: [], published: { returns: [] } });
  });

  it('gets no rule of a port that is not there', () => expect(portRules({ mappings: [], returns: [] }, self)).toBe(''));

  it('gets rules that name each port and each way', () => {
    const rules = portRules(published, self);
    expect(rules).toContain('fib daddr type local tcp dport 8080 dnat to 10.42.0.2:80');
    expect(rules).toContain(`tcp sport 80 tcp flags & (syn | ack) != syn dup to ${hostAddress('a', 4)} device "cb00002a" drop`);
    expect(rules).toContain(`udp sport 53 dup to ${hostAddress('a', 4)} device "cb00002a" drop`);
    expect(rules).toContain(`ether daddr ${hostMac('b')} ether daddr set 02:c0:a7:00:00:2a`);
    const one = portRules({ mappings: [{ network, owner: 'x', ip: '10.42.0.2', port: { ...web, hostIp: '127.0.0.1' } }], returns: [] }, self);
    expect(one).toContain('ip daddr 127.0.0.1 tcp dport 8080 dnat to 10.42.0.2:80');
  });

  it('has a table for each family in which something is published', () => {
    const both = { ...network, subnet6: 'fd00:42::/64', gateway6: 'fd00:42::1' };
    const six: PublishedPort = { ...web, hostIp: '::' };
    const claims = new Map([['x', claim({ host: 'b', ip6: 'fd00:42::2', published: [{ host: 'a', ports: [web, six] }, { host: 'b', ports: [six] }] })]]);
    const twice = publications({ hosts, networks: new Map([[network.key, both]]), claims }, [endpoint({ ip6: 'fd00:42::2', published: [six] })], 'b');
    expect(twice.mappings).toEqual([{ network: both, owner: `${network.key}/10.42.0.2`, ip: 'fd00:42::2', port: six }]);
    const rules = portRules(twice, self);
    expect(rules).toContain('ip6 daddr != ::1 fib daddr type local tcp dport 8080 dnat to [fd00:42::2]:80');
    expect(rules).toContain(`ip6 saddr fd00:42::2 ip6 daddr != fd00:42::/64 tcp sport 80 tcp flags & (syn | ack) != syn dup to ${hostAddress('a', 6)} device "cb00002a" drop`);
    expect(rules).toContain(`ip saddr 10.42.0.2 ip daddr != 10.42.0.0/24 tcp sport 80 tcp flags & (syn | ack) != syn dup to ${hostAddress('a', 4)} device "cb00002a" drop`);
    // its underlay is IPv4
    expect(rules).toContain(`ip6 saddr { ::1, fd00:42::/64 } oifname "cb00002a" ct status dnat snat to ${hostAddress('b', 6)}`);
    const at1 = { network: both, owner: 'x', ip: 'fd00:42::2', port: { ...web, hostIp: 'fd00::9' } };
    expect(portRules({ mappings: [at1], returns: [] }, { ...self, address: 'fd00::2' })).toMatch(/ip6 daddr fd00::9 tcp dport 8080 [^]*snat to fd00::2\n/);
    expect(portRules({ mappings: [at1], returns: [] }, self)).not.toContain('table ip coat-ports');
  });

  it('knows hosts by addresses that are nobody else\'s', () => {
    for (const name of ['a', 'h1', 'h2', 'x'.repeat(64)]) for (const family of [4, 6] as const) expect(isHostAddress(hostAddress(name, family))).toBe(true);
    for (const address of ['10.42.0.2', '224.0.0.1', '239.1.2.3', '255.255.255.255', '24.0.0.1', '1001::1', 'fd00::1']) expect(isHostAddress(address)).toBe(false);
  });
});

describe("Docker's words", () => {
  const binding = { Proto: 6, IP: '', Port: 80, HostIP: '', HostPort: 8080, HostPortEnd: 8080 };
  it('are read', () => {
    expect(readPorts([binding], false)).toEqual([{ proto: 'tcp', port: 80, hostIps: [undefined], hostPorts: [8080] }]);
    expect(readPorts([{ Proto: 17, Port: 53 }], true)).toEqual([{ proto: 'udp', port: 53, hostIps: [undefined, '::'], hostPorts: [0] }]);
    expect(readPorts([{ ...binding, HostIP: '0.0.0.0', HostPortEnd: 8082 }], true)).toEqual([{ proto: 'tcp', port: 80, hostIps: [undefined], hostPorts: [8080, 8081, 8082] }]);
    expect(readPorts([{ ...binding, HostIP: '192.0.2.1' }], false)).toEqual([{ proto: 'tcp', port: 80, hostIps: ['192.0.2.1'], hostPorts: [8080] }]);
    expect(readPorts([{ ...binding, HostIP: 'FD00:0::1' }, { ...binding, HostIP: '::' }], true).map(({ hostIps }) => hostIps)).toEqual([['fd00::1'], ['::']]);
    expect(() => readPorts([{ ...binding, Proto: 132 }], true)).toThrow(/TCP and UDP/);
    expect(() => readPorts([{ ...binding, HostIP: '::1' }], true)).toThrow(/no port at ::1/);
    expect(() => readPorts([{ ...binding, HostIP: '::' }], false)).toThrow(/the network has no IPv6, so port 80 cannot be reached at ::/);
  });

  it('become a part of the claim, in the order of the hosts', () => {
    const both = withPorts(withPorts(claim({}), 'b', [web]), 'a', [web]);
    expect(both.published?.map(({ host }) => host)).toEqual(['b', 'a']);
    const changed = withPorts(both, 'b', [dns]);
    expect([portsAt(changed, 'b'), portsAt(changed, 'c')]).toEqual([[dns], []]);
    expect(withPorts(withPorts(changed, 'b', []), 'a', [])).toEqual(claim({}));
  });
});

describe('ports that are held', () => {
  const opened: { close(): unknown }[] = [];
  afterEach(() => opened.splice(0).forEach((each) => each.close()));
  const holds = (): Holds => {
    const made = new Holds(true, silent);
    opened.push(made);
    return made;
  };
  /** A port of 127.0.0.1 that another program has. */
  async function busy(): Promise<number> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    opened.push(server);
    return (server.address() as AddressInfo).port;
  }
  const local = { port: 80, hostIps: ['127.0.0.1'] };

  it('belong to one, until nobody wants them any more', async () => {
    const [mine, other] = [holds(), holds()];
    const [port] = (await mine.take('n/1', { ...local, proto: 'udp', hostPorts: [0] })) as [PublishedPort];
    const again = { ...local, proto: 'udp' as const, hostPorts: [port.hostPort] };
    expect(await mine.take('n/1', again)).toEqual([port]);
    await expect(mine.take('n/2', again)).rejects.toThrow(/in use for the container at 1; choose another|in use for the container at 1/);
    await expect(other.take('n/3', again)).rejects.toThrow(`the port ${port.hostPort}/udp of this host is in use`);
    // its record may not be there yet
    await mine.keep([]);
    await expect(other.take('n/3', again)).rejects.toThrow(/in use/);
    mine.settle([port]);
    await mine.keep([{ owner: 'n/1', port }]);
    await mine.keep([]);
    expect(await other.take('n/3', again)).toEqual([port]);
  });

  it('are the first that is free', async () => {
    const taken = await busy();
    const [port] = await holds().take('n/1', { ...local, proto: 'tcp', hostPorts: [taken, 0] });
    expect(port!.hostPort).not.toBe(taken);
    await expect(holds().take('n/1', { ...local, proto: 'tcp', hostPorts: [taken, taken] })).rejects.toThrow(/in use/);
    await expect(holds().take('n/1', { ...local, hostIps: ['198.51.100.1'], proto: 'tcp', hostPorts: [0] })).rejects.toThrow('this host has no address 198.51.100.1');
  });

  it.each(['tcp', 'udp'] as const)('of %s are the same at all addresses, or none', async (proto) => {
    const everywhere = { proto, port: 80, hostIps: ['127.0.0.1', '::1'] };
    const [four, six] = (await holds().take('n/1', { ...everywhere, hostPorts: [0] })) as [PublishedPort, PublishedPort];
    expect([four, six]).toEqual([{ proto, port: 80, hostIp: '127.0.0.1', hostPort: four.hostPort }, { proto, port: 80, hostIp: '::1', hostPort: four.hostPort }]);
    // free at one address is not enough, and nothing of it is kept
    const [other, only] = [holds(), { proto, port: 80, hostIps: ['127.0.0.1'] }];
    const [free] = await holds().take('n/2', { proto, port: 80, hostIps: ['::1'], hostPorts: [0] });
    await expect(other.take('n/3', { ...everywhere, hostPorts: [free!.hostPort] })).rejects.toThrow(`the port ${free!.hostPort}/${proto} of this host is in use`);
    expect(await holds().take('n/4', { ...only, hostPorts: [free!.hostPort] })).toHaveLength(1);
  });

  it('are let go with what was not to be, and come back when they can', async () => {
    const [mine, socket] = [holds(), createSocket('udp4')];
    const [port] = (await mine.take('n/1', { ...local, proto: 'udp', hostPorts: [0] })) as [PublishedPort];
    mine.drop([port]);
    socket.bind(port.hostPort, '127.0.0.1');
    await once(socket, 'listening');
    await mine.keep([{ owner: 'n/1', port }]);
    socket.close();
    await once(socket, 'close');
    await mine.keep([{ owner: 'n/1', port }]);
    await expect(holds().take('n/2', { ...local, proto: 'udp', hostPorts: [port.hostPort] })).rejects.toThrow(/in use/);
  });
});

it('a change concerns ports if they are or were published with it, or its endpoint here has some', () => {
  const [plain, with80] = [claim({}), claim({ published: at('a') })];
  const key = `${plain.network}/${plain.ip}`;
  const concerns = (before: Claim | undefined, now: Claim | undefined, endpoints: Publisher[] = []): boolean => concernsPorts(new Map([[key, before]]), new Map(now ? [[key, now]] : []), endpoints);
  expect(concerns(plain, plain)).toBe(false);
  expect(concerns(undefined, plain, [{ ...endpoint(), published: undefined }])).toBe(false);
  expect(concerns(with80, plain)).toBe(true);
  expect(concerns(plain, with80)).toBe(true);
  expect(concerns(with80, undefined)).toBe(true);
  expect(concerns(plain, plain, [{ ...endpoint(), published: [{ proto: 'tcp', port: 80, hostPort: 8080 }] }])).toBe(true);
});
