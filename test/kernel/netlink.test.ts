import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Netns } from '../support/netns.ts';

/**
 * The quick way works only in the namespace a process is in, so the proof runs in a process of its
 * own: it does each operation by netlink alone, and looks with iproute2.
 */
const PROOF = `
import { createKernel } from ${JSON.stringify(new URL('../../driver/kernel/kernel.ts', import.meta.url).href)};
import { observe, apply } from ${JSON.stringify(new URL('../../driver/kernel/apply.ts', import.meta.url).href)};
import { queueOf, closeHold } from ${JSON.stringify(new URL('../../driver/kernel/hold.ts', import.meta.url).href)};
const kernel = createKernel();
const { netlink } = kernel;
const spawned = [];
const quick = { ...kernel, run: async (argv) => { spawned.push(argv.join(' ')); throw new Error('a program was run'); } };
const seen = async () => { const s = await observe(kernel); return { tunnels: [...s.tunnels.values()], forwards: [...s.forwards.values()], neighbours: [...s.neighbours.values()], state: s.ports.get('cv0123456789')?.state }; };
const mac = '02:42:0a:2a:00:07', none = '00:00:00:00:00:00', dev = 'cx00002a', bridge = 'cb00002a', port = 'cv0123456789', why = '';
const steps = {};
await apply(quick, [
  { do: 'tunnel', why, entry: { dev, mac: none, dst: '172.31.0.2' } },
  { do: 'tunnel', why, entry: { dev, mac: none, dst: '172.31.0.3' } },
  { do: 'tunnel', why, entry: { dev, mac, dst: '172.31.0.2' } },
  { do: 'forward', why, entry: { bridge, mac, dev } },
  { do: 'neighbour', why, entry: { dev: bridge, ip: '10.42.0.7', mac } },
]);
steps.made = await seen();
const have = (await observe(kernel)).ports.get(port);
const took = performance.now();
await apply(quick, [
  { do: 'tunnel', why, entry: { dev, mac, dst: '172.31.0.3' } },
  { do: 'forward', why, entry: { bridge, mac, dev: port } },
  { do: 'port', why, want: { ...have, state: 'disabled' }, have },
]);
steps.ms = performance.now() - took;
steps.moved = await seen();
await apply(quick, [
  { do: 'untunnel', why, entry: { dev, mac, dst: '172.31.0.3' } },
  { do: 'untunnel', why, entry: { dev, mac: none, dst: '172.31.0.2' } },
  { do: 'unforward', why, entry: { bridge, mac, dev: port } },
  { do: 'unneighbour', why, entry: { dev: bridge, ip: '10.42.0.7', mac } },
  { do: 'port', why, want: have, have: { ...have, state: 'disabled' } },
]);
steps.removed = await seen();
steps.refused = await netlink.apply([{ do: 'unneighbour', why, entry: { dev: bridge, ip: '10.42.0.7', mac } }]).then(() => 'no', (error) => error.message);
steps.nolink = await netlink.apply([{ do: 'neighbour', why, entry: { dev: 'cb0000ff', ip: '10.42.0.7', mac } }]).then(() => 'no', (error) => error.message);
await closeHold(kernel, port, 1450);
await kernel.run(['ip', 'neighbour', 'replace', '192.0.2.9', 'dev', port, 'use']);
const before = await queueOf(kernel, port);
await netlink.openHold(port, '192.0.2.1');
const after = await queueOf(kernel, port);
steps.hold = { before: [before.packets, before.backlog > 0], after: [after.packets >= 3, after.backlog] };
const { createVeth, linkExists } = await import(${JSON.stringify(new URL('../../driver/kernel/veth.ts', import.meta.url).href)});
const fresh = 'cvabcdef0123';
steps.there = [await linkExists(quick, fresh)];
await createVeth(quick, { port: fresh, mtu: 1400, inner: { name: 'ciabcdef0123', mac: '02:42:0a:2a:00:09' } });
steps.there.push(await linkExists(quick, fresh));
const veth = async () => JSON.parse((await kernel.run(['ip', '-j', '-d', 'link', 'show'])).stdout).filter(({ ifname }) => /abcdef0123/.test(ifname));
steps.veth = (await veth()).map(({ ifname, mtu, link, address, inet6_addr_gen_mode: mode }) => ({ ifname, mtu, link, mode, address: ifname.startsWith('ci') ? address : '' }));
const unconnected = (await observe(kernel)).ports.get(fresh);
await apply(quick, [{ do: 'port', why, want: { ...unconnected, master: bridge, mtu: 1300, up: true, learning: false }, have: unconnected }]);
steps.connected = (await observe(kernel)).ports.get(fresh);
steps.twice = await netlink.createVeth({ port: fresh, mtu: 1400, inner: { name: 'ciabcdef0124', mac } }).then(() => 'no', (error) => error.message);
steps.spawned = spawned;
netlink.close();
console.log(JSON.stringify(steps));
`;

let netns: Netns;
beforeEach(async () => {
  netns = await Netns.create('netlink');
  const lines = [
    'link add cb00002a type bridge forward_delay 0',
    'link set cb00002a addrgenmode none up',
    'link add cx00002a type vxlan id 42 dstport 4798 local 127.0.0.1 nolearning',
    'link set cx00002a master cb00002a up',
    'link add cv0123456789 type veth peer name ci0123456789',
    'link set ci0123456789 addrgenmode none up',
    'link set cv0123456789 addrgenmode none',
    'link set cv0123456789 master cb00002a up',
  ];
  await netns.kernel.run(['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
});
afterEach(async () => netns[Symbol.asyncDispose]());

describe('netlink', () => {
  it('does what the programs do, without them', async () => {
    const { stdout } = await netns.kernel.run([process.execPath, '--import', 'tsx', '--input-type=module', '-e', PROOF]);
    const steps = JSON.parse(stdout) as Record<string, unknown>;
    const [mac, none, dev, bridge] = ['02:42:0a:2a:00:07', '00:00:00:00:00:00', 'cx00002a', 'cb00002a'];
    const flood = [{ dev, mac: none, dst: '172.31.0.2' }, { dev, mac: none, dst: '172.31.0.3' }];
    const neighbours = [{ dev: bridge, ip: '10.42.0.7', mac }];
    expect(steps.made).toEqual({ tunnels: expect.arrayContaining([{ dev, mac, dst: '172.31.0.2' }, ...flood]) as unknown, forwards: [{ bridge, mac, dev }], neighbours, state: 'forwarding' });
    expect(steps.moved).toEqual({ tunnels: expect.arrayContaining([{ dev, mac, dst: '172.31.0.3' }, ...flood]) as unknown, forwards: [{ bridge, mac, dev: 'cv0123456789' }], neighbours, state: 'disabled' });
    expect(steps.removed).toEqual({ tunnels: [flood[1]], forwards: [], neighbours: [], state: 'forwarding' });
    expect(steps.refused).toMatch(/ENOENT/);
    expect(steps.nolink).toMatch(/ENODEV|no interface/);
    expect(steps.hold).toEqual({ before: [1, true], after: [true, 0] });
    expect(steps.there).toEqual([false, true]);
    const [outer, inner] = ['cvabcdef0123', 'ciabcdef0123'];
    expect(steps.veth).toEqual(expect.arrayContaining([
      { ifname: outer, link: inner, mtu: 1400, mode: 'none', address: '' },
      { ifname: inner, link: outer, mtu: 1400, mode: 'eui64', address: '02:42:0a:2a:00:09' },
    ]));
    expect(steps.connected).toEqual({ name: outer, master: bridge, mtu: 1300, up: true, learning: false, state: 'forwarding' });
    expect(steps.twice).toMatch(/EEXIST/);
    expect(steps.spawned).toEqual([]);
    expect(steps.ms).toBeLessThan(50);
  });
});
