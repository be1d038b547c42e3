import { describe, expect, it } from 'vitest';
import { chooseVni, bridgeName, endpointMac, gatewayMac, innerName, isBridge, isPort, isVxlan, linkOf, portName, vxlanName } from '../../../driver/overlay/names.ts';
import { diff, reached } from '../../../driver/overlay/diff.ts';
import { overlayMtu } from '../../../driver/overlay/mtu.ts';
import { plan, type Attachment } from '../../../driver/overlay/plan.ts';
import type { Claim, Host, Network } from '../../../driver/overlay/records.ts';
import { ruleset } from '../../../driver/overlay/rules.ts';
import { emptyState } from '../../../driver/overlay/state.ts';
import { commands } from '../../../driver/kernel/apply.ts';

const network: Network = { key: '10.42.0.0-24', subnet: '10.42.0.0/24', gateway: '10.42.0.1', vni: 42, mtu: 1450, options: {}, internal: false };
const hosts = new Map<string, Host>([['a', '192.168.0.1'], ['b', '192.168.0.2'], ['c', '192.168.0.3']].map(([name, address]) => [name!, { name: name!, address: address! }]));
const self = { host: 'a', address: '192.168.0.1', vxlanPort: 4798 };
const [mine, theirs] = ['02:42:0a:2a:00:02', '02:42:0a:2a:00:03'];
const local: Attachment = { network, ip: '10.42.0.2', mac: mine, link: '0123456789', cut: false, attached: true, accepting: false };
const claims = (...list: Partial<Claim>[]): Map<string, Claim> =>
  new Map(list.map((claim) => [`${network.key}/${claim.ip}`, { network: network.key, ip: '', host: 'a', epoch: 1, ...claim }]));
const NOTHING = { ip: [], ipv6: [], address6: [], bridge: [], unlink: [] };
const [bridge, vxlan, port] = ['cb00002a', 'cx00002a', 'cv0123456789'];

describe('names', () => {
  it('fit into an interface name and are told apart', () => {
    const names = [bridgeName(0xffffff), vxlanName(1), portName(linkOf('x')), innerName(linkOf('x'))];
    for (const name of names) expect(name.length).toBeLessThanOrEqual(15);
    expect(names.map(isBridge)).toEqual([true, false, false, false]);
    expect(names.map(isVxlan)).toEqual([false, true, false, false]);
    expect(names.map(isPort)).toEqual([false, false, true, false]);
  });
  it.each(['cb0', 'cbr0', 'cb00002a1', 'cb00002A', 'xcb00002a', 'cb-0a002a', 'docker0', 'cv012345678', 'cvg123456789', 'cv01234567890'])('are not %s', (name) => {
    expect([isBridge(name), isVxlan(name), isPort(name)]).toEqual([false, false, false]);
  });
  it('give addresses that are local and unicast', () => {
    expect(gatewayMac(0x00a41f)).toBe('02:c0:a7:00:a4:1f');
    expect(endpointMac('10.42.0.254')).toBe('02:42:0a:2a:00:fe');
    const other = endpointMac('10.42.0.254', new Set(['02:42:0a:2a:00:fe']));
    expect(other).toMatch(/^02:42(:[0-9a-f]{2}){4}$/);
    expect(other).not.toBe('02:42:0a:2a:00:fe');
  });
  it('give every network the same VNI on every host, and two networks two', () => {
    const vni = chooseVni('10.42.0.0-24', new Set());
    expect(vni).toBe(chooseVni('10.42.0.0-24', new Set()));
    expect(vni).toBeGreaterThan(0);
    expect(chooseVni('10.42.0.0-24', new Set([vni]))).toBe(vni === 0xffffff ? 1 : vni + 1);
  });
});

describe('the plan', () => {
  it('is empty where nobody lives', () => {
    const { state } = plan({ hosts, claims: claims({ ip: '10.42.0.3', mac: theirs, host: 'b' }) }, [], self);
    expect(state).toEqual(emptyState());
  });

  it('has a bridge, tunnels to every host but itself, and three entries for a claim', () => {
    const { state } = plan({ hosts, claims: claims({ ip: '10.42.0.2', mac: mine }, { ip: '10.42.0.3', mac: theirs, host: 'b' }) }, [local], self);
    expect(state.bridges.get(bridge)).toEqual({ name: bridge, mac: '02:c0:a7:00:00:2a', mtu: 1450, address: '10.42.0.1/24', address6: undefined, up: true });
    expect(state.vxlans.get(vxlan)).toMatchObject({ master: bridge, vni: 42, port: 4798, local: '192.168.0.1', learning: false, suppress: true });
    expect(state.ports.get(port)).toMatchObject({ master: bridge, state: 'forwarding', learning: false });
    expect([...state.tunnels.values()]).toEqual([
      { dev: vxlan, mac: '00:00:00:00:00:00', dst: '192.168.0.2' },
      { dev: vxlan, mac: '00:00:00:00:00:00', dst: '192.168.0.3' },
      { dev: vxlan, mac: theirs, dst: '192.168.0.2' },
    ]);
    const quiet = { ...local, network: { ...network, options: { multicast: 'off' } } };
    const known = claims({ ip: '10.42.0.2', mac: mine }, { ip: '10.42.0.3', mac: theirs, host: 'b' });
    expect([...plan({ hosts, claims: known }, [quiet], self).state.tunnels.values()]).toEqual([{ dev: vxlan, mac: theirs, dst: '192.168.0.2' }]);
    expect([...state.forwards.values()]).toEqual([{ bridge, mac: mine, dev: port }, { bridge, mac: theirs, dev: vxlan }]);
    expect([...state.neighbours.values()]).toEqual([{ dev: bridge, ip: '10.42.0.2', mac: mine }, { dev: bridge, ip: '10.42.0.3', mac: theirs }]);
  });

  it('sends a redirected endpoint elsewhere from every host at once, and from its own with the cut', () => {
    const moved = claims({ ip: '10.42.0.2', mac: mine, host: 'a', redirect: 'c' });
    const before = plan({ hosts, claims: moved }, [local], self).state;
    expect(before.forwards.get(`${bridge} ${mine}`)?.dev).toBe(port);
    expect(before.tunnels.has(`${vxlan} ${mine}`)).toBe(false);
    const after = plan({ hosts, claims: moved }, [{ ...local, cut: true }], self).state;
    expect(after.forwards.get(`${bridge} ${mine}`)).toEqual({ bridge, mac: mine, dev: vxlan });
    expect(after.tunnels.get(`${vxlan} ${mine}`)?.dst).toBe('192.168.0.3');
    expect(after.ports.has(port)).toBe(true);
  });

  it('at the destination points away until it accepts or the redirect says so, then at the port', () => {
    const at = (claim: Partial<Claim>, accepting = false) =>
      plan({ hosts, claims: claims({ ip: '10.42.0.2', mac: mine, host: 'b', movingTo: 'a', ...claim }) }, [{ ...local, accepting }], self).state;
    expect(at({}).forwards.get(`${bridge} ${mine}`)?.dev).toBe(vxlan);
    expect(at({}, true).forwards.get(`${bridge} ${mine}`)?.dev).toBe(port);
    expect(at({}, true).tunnels.has(`${vxlan} ${mine}`)).toBe(false);
    expect(at({ redirect: 'a' }).forwards.get(`${bridge} ${mine}`)?.dev).toBe(port);
  });

  it('sends what is ours but not here, or goes to a host nobody knows, nowhere', () => {
    const { state } = plan({ hosts, claims: claims({ ip: '10.42.0.9', mac: theirs, host: 'a' }, { ip: '10.42.0.8', mac: theirs, host: 'gone' }, { ip: '10.42.0.7', host: 'b' }) }, [local], self);
    expect([...state.forwards.values()].map(({ mac }) => mac)).toEqual([mine]);
    expect([...state.neighbours.keys()]).toEqual([`${bridge} 10.42.0.2`]);
  });

  it('leaves a port alone whose hold is not closed, and cuts one that is cut', () => {
    const early = plan({ hosts, claims: claims() }, [{ ...local, attached: false }], self);
    expect(early.state.ports.size).toBe(0);
    expect(early.untouched).toEqual(new Set([port]));
    expect(early.state.forwards.size).toBe(0);
    expect(plan({ hosts, claims: claims() }, [{ ...local, cut: true }], self).state.ports.get(port)?.state).toBe('disabled');
  });

  it('gives an internal network no gateway', () => {
    const { state } = plan({ hosts, claims: claims() }, [{ ...local, network: { ...network, internal: true } }], self);
    expect(state.bridges.get(bridge)?.address).toBeUndefined();
  });
});

describe('the difference', () => {
  const wanted = () => plan({ hosts, claims: claims({ ip: '10.42.0.2', mac: mine }, { ip: '10.42.0.3', mac: theirs, host: 'b' }) }, [local], self).state;

  it('is nothing between equals', () => expect(diff(wanted(), wanted())).toEqual([]));

  it('of a move is one entry', () => {
    const moved = plan({ hosts, claims: claims({ ip: '10.42.0.2', mac: mine }, { ip: '10.42.0.3', mac: theirs, host: 'b', redirect: 'c' }) }, [local], self).state;
    const operations = diff(moved, wanted());
    expect(operations).toMatchObject([{ do: 'tunnel', entry: { dev: vxlan, mac: theirs, dst: '192.168.0.3' } }]);
    expect(commands(operations)).toEqual({ ...NOTHING, bridge: [`fdb replace ${theirs} dev ${vxlan} dst 192.168.0.3 self permanent`] });
  });

  it('makes all from nothing, but not a port, nor entries of a port that is not there', () => {
    const operations = diff(wanted(), emptyState());
    expect(operations.map((operation) => operation.do)).toEqual(['bridge', 'vxlan', 'tunnel', 'tunnel', 'tunnel', 'forward', 'neighbour', 'neighbour']);
    expect(reached(wanted(), emptyState()).forwards.has(`${bridge} ${mine}`)).toBe(false);
    const { ip, bridge: lines } = commands(operations);
    expect(ip).toContain('link add dev cx00002a mtu 1450 type vxlan id 42 dstport 4798 local 192.168.0.1 nolearning');
    expect(ip).toContain('address add 10.42.0.1/24 dev cb00002a');
    expect(lines[0]).toBe('link set dev cx00002a learning off neigh_suppress on');
    expect(lines).toContain('fdb append 00:00:00:00:00:00 dev cx00002a dst 192.168.0.2 self permanent');
  });

  it('removes devices without naming their entries one by one', () => {
    const operations = diff(emptyState(), wanted());
    expect(operations.map((operation) => operation.do)).toEqual(['unlink', 'unlink', 'unlink']);
    expect(diff(emptyState(), wanted(), new Set([port]))).toHaveLength(2);
  });

  it('removes stale entries and says why', () => {
    const have = wanted();
    have.tunnels.set('x', { dev: vxlan, mac: '02:00:00:00:00:09', dst: '192.168.0.3' });
    have.neighbours.set('y', { dev: bridge, ip: '10.42.0.9', mac: mine });
    have.bridges.set(bridge, { ...have.bridges.get(bridge)!, mtu: 1400 });
    expect(diff(wanted(), have)).toMatchObject([
      { do: 'bridge', why: 'cb00002a: mtu is 1400, not 1450' },
      { do: 'untunnel', why: 'x: not wanted' },
      { do: 'unneighbour', why: 'y: not wanted' },
    ]);
  });

  it('makes a vxlan device anew when what is given at its creation changed, with all its entries', () => {
    const have = wanted();
    have.vxlans.set(vxlan, { ...have.vxlans.get(vxlan)!, port: 4789 });
    const operations = diff(wanted(), have);
    expect(operations.map((operation) => operation.do)).toEqual(['vxlan', 'tunnel', 'tunnel', 'tunnel', 'forward']);
    expect(commands(operations).ip.slice(0, 2)).toEqual(['link del dev cx00002a', expect.stringContaining('dstport 4798')]);
  });

  it('cuts and connects with one command', () => {
    const cut = plan({ hosts, claims: claims({ ip: '10.42.0.2', mac: mine }, { ip: '10.42.0.3', mac: theirs, host: 'b' }) }, [{ ...local, cut: true }], self).state;
    expect(commands(diff(cut, wanted()))).toEqual({ ...NOTHING, bridge: ['link set dev cv0123456789 state 0'] });
    expect(commands(diff(wanted(), cut))).toEqual({ ...NOTHING, bridge: ['link set dev cv0123456789 state 3'] });
  });
});

/** Of the hosts' tunnels. */
const TUNNELS = { port: 4798, hosts: ['192.168.0.1', '192.168.0.2'] };

describe('rules and sizes', () => {
  it('are, without a network, about the tunnels alone', () => {
    const rules = ruleset([], TUNNELS).split('\n').filter((line) => line.startsWith('    ') && !line.includes('type filter'));
    expect(rules).toHaveLength(2);
    for (const rule of rules) expect(rule).toMatch(/udp dport 4798 .* drop$/);
  });
  it('let an internal network neither out nor in', () => {
    const text = ruleset([network, { ...network, vni: 43, subnet: '10.43.0.0/24', internal: true }], TUNNELS);
    expect(text).toContain('ip saddr 10.42.0.0/24 oifname != "cb00002a" masquerade');
    expect(text).not.toContain('10.43.0.0/24');
    expect(text).toContain('iifname "cb00002b" drop');
  });
  it('let nobody but hosts send through the tunnels', () => {
    const text = ruleset([network], TUNNELS);
    expect(text).toContain('udp dport 4798 ip saddr != { 192.168.0.1, 192.168.0.2 } drop');
    expect(text).toContain('udp dport 4798 ip daddr { 192.168.0.1, 192.168.0.2 } ip saddr != { 192.168.0.1, 192.168.0.2 } drop');
    expect(plan({ hosts, claims: new Map() }, [local], self).underlay).toEqual([...hosts.values()].map(({ address }) => address).sort());
  });
  it('fit through the narrowest way', () => {
    expect(overlayMtu([], 4)).toBe(1450);
    expect(overlayMtu([1500, 1400, 9000], 4)).toBe(1350);
    expect(overlayMtu([65536], 4)).toBe(8950);
    expect(overlayMtu([1500], 6)).toBe(1430);
  });
});
