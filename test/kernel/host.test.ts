import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../../driver/host/run.ts';
import { until } from '../../driver/host/until.ts';
import { createNetns, netnsPath, removeNetns } from '../../driver/kernel/netns.ts';
import { MemoryStore } from '../../driver/store/memory.ts';
import type { TestContainer } from '../support/caller.ts';
import { Netns } from '../support/netns.ts';
import { TestHosts, type TestHost } from '../support/netns-hosts.ts';
import { ECHO, PING, RECORD, RECORDED } from '../support/scripts.ts';

const KEY = '10.42.0.0-24';
/** An audit waits longer where the machine is busy, see overlay/reconcile.ts. */
const PATIENCE_MS = 20_000;

/** Sends a datagram to the tunnels of a host, and says so when it is on its way. */
const FORGE = `
const [to, frame] = process.argv.slice(1);
const s = require('dgram').createSocket('udp4');
s.on('error', () => {});
s.send(Buffer.from(frame, 'hex'), 4798, to, () => setTimeout(() => { console.log('null'); process.exit(); }, 200));`;

/** A datagram "7" to port 7 of a container, as it is in a tunnel (RFC 7348 §5). */
function forged(vni: number, mac: string, ip: string): Buffer {
  const head = Buffer.from('4500001d0000400040110000' + '0a2a00fe' + ip.split('.').map((part) => Number(part).toString(16).padStart(2, '0')).join(''), 'hex');
  let sum = 0;
  for (let i = 0; i < head.length; i += 2) sum += head.readUInt16BE(i);
  head.writeUInt16BE(~((sum & 0xffff) + (sum >> 16)) & 0xffff, 10);
  const tunnel = `08000000${vni.toString(16).padStart(6, '0')}00`;
  const ether = `${mac.replaceAll(':', '')}0242000000fe0800`;
  return Buffer.concat([Buffer.from(tunnel + ether, 'hex'), head, Buffer.from('0007000700090000', 'hex'), Buffer.from('7')]);
}

describe('on a host', () => {
  let all: TestHosts;
  let a: TestHost;
  let b: TestHost;
  beforeEach(async () => {
    all = await TestHosts.create(new MemoryStore(), ['a', 'b'], { auditEvery: 300 });
    [a, b] = all.hosts as [TestHost, TestHost];
  });
  afterEach(async () => all[Symbol.asyncDispose]());

  it('the audit puts right what a hand undid, and counts it', async () => {
    const [na, nb] = [await a.engine.createNetwork(), await b.engine.createNetwork()];
    const one = await a.engine.run(na);
    const two = await b.engine.run(nb);
    await Promise.all([one, two].map(({ netns }) => netns.start(ECHO)));
    const portmap = [{ Proto: 17, IP: '', Port: 7, HostIP: '', HostPort: 7, HostPortEnd: 7 }];
    await a.engine.call('NetworkDriver.ProgramExternalConnectivity', { NetworkID: na, EndpointID: one.endpoint, Options: { 'com.docker.network.portmap': portmap } });
    const asks = async (netns: Netns, to: string): Promise<boolean> => (await netns.eval<number[]>(PING, to, 1, 1, 60)).length === 1;
    // through the tunnel, and to a published port, from the host itself and from outside
    const answers = async (): Promise<boolean> => (await asks(one.netns, two.ip)) && (await asks(a.netns, '127.0.0.1')) && (await asks(b.netns, a.address));
    await until('the first answer', answers, { timeout: PATIENCE_MS });
    await sleep(400);
    expect(a.driver.repaired).toBe(0);

    const hex = a.driver.replica.networks.get(KEY)!.vni.toString(16).padStart(6, '0');
    const hands: [string, ...string[]][] = [
      ['bridge', 'fdb', 'del', two.mac, 'dev', `cx${hex}`, 'dst', b.address, 'self'],
      ['ip', 'neighbour', 'del', two.ip, 'dev', `cb${hex}`],
      ['bridge', 'fdb', 'replace', '02:00:00:00:00:99', 'dev', `cx${hex}`, 'dst', '172.30.0.9', 'self', 'permanent'],
      ['bridge', 'fdb', 'replace', one.mac, 'dev', `cx${hex}`, 'master', 'static'],
      ['ip', 'link', 'set', `cb${hex}`, 'down'],
      ['ip', 'link', 'del', `cb${hex}`],
      ['ip', 'link', 'del', `cx${hex}`],
      ['nft', 'flush', 'table', 'inet', 'coat'],
      ['nft', 'flush', 'table', 'ip', 'coat-ports'],
      ['nft', 'delete', 'table', 'ip', 'coat-ports'],
      ['nft', 'delete', 'table', 'bridge', 'coat-ports'],
    ];
    for (const hand of hands) {
      const before = a.driver.repaired;
      await a.netns.run(...hand);
      await until(`the audit to see: ${hand.join(' ')}`, () => a.driver.repaired > before, { timeout: PATIENCE_MS });
      await until('the next answer', answers, { timeout: PATIENCE_MS });
    }
    expect(await a.netns.run('bridge', 'fdb', 'show')).not.toContain('02:00:00:00:00:99');
  }, 240_000);

  it('containers reach the world by its address, the world does not reach them, and networks not each other', async () => {
    const na = await a.engine.createNetwork();
    const nb = await a.engine.createNetwork('10.43.0.0/24');
    const one = await a.engine.run(na);
    const two = await a.engine.run(nb, { subnet: '10.43.0.0/24' });
    await b.netns.start(ECHO);
    await two.netns.start(ECHO);
    await one.netns.start(ECHO);
    expect(await one.netns.eval(PING, b.address, 2, 1, 60)).toEqual([0, 1]);
    expect(await one.netns.eval(PING, two.ip, 2, 1, 60)).toEqual([]);
    await b.netns.run('ip', 'route', 'add', '10.42.0.0/24', 'via', a.address);
    expect(await b.netns.eval(PING, one.ip, 2, 1, 60)).toEqual([]);
  });

  it('what a container sends to the tunnels itself reaches no container of another network, neither here nor on another host', async () => {
    const [other, far] = [await a.engine.createNetwork('10.43.0.0/24'), await b.engine.createNetwork()];
    const forger = await a.engine.run(other, { subnet: '10.43.0.0/24' });
    const near = await a.engine.run(await a.engine.createNetwork());
    const there = await b.engine.run(far);
    await Promise.all([near, there].map(({ netns }) => netns.start(RECORD)));
    const { vni } = a.driver.replica.networks.get(KEY)!;
    const forge = (from: Netns, host: TestHost, to: TestContainer): Promise<unknown> => from.eval(FORGE, host.address, forged(vni, to.mac, to.ip).toString('hex'));
    for (const [host, to] of [[a, near], [b, there]] as const) {
      await forge(forger.netns, host, to);
      expect(await to.netns.eval(RECORDED)).toEqual([]);
    }
    // from a host the same frame arrives, so it was not for its form
    await forge(a.netns, b, there);
    await until('the frame of a host', async () => (await there.netns.eval<number[]>(RECORDED)).length === 1, { timeout: PATIENCE_MS });
  });

  it('nor does it from a host that has no network, which keeps nothing when its driver stops', async () => {
    const there = await b.engine.run(await b.engine.createNetwork());
    await there.netns.start(RECORD);
    // as one of Docker's own, behind its host's address
    await using guest = await Netns.create('guest');
    await a.netns.run('ip', 'link', 'add', 'docker0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', guest.path);
    for (const [netns, link, address] of [[a.netns, 'docker0', '172.31.0.1/24'], [guest, 'eth0', '172.31.0.2/24']] as const) {
      await netns.run('ip', 'address', 'add', address, 'dev', link);
      await netns.run('ip', 'link', 'set', link, 'up');
    }
    await guest.run('ip', 'route', 'add', 'default', 'via', '172.31.0.1');
    await a.netns.kernel.run(['tee', '/proc/sys/net/ipv4/ip_forward'], { input: '1' });
    await a.netns.run('nft', 'table ip docker { chain c { type nat hook postrouting priority srcnat; masquerade; }; }');
    const { vni } = b.driver.replica.networks.get(KEY)!;
    const forge = (): Promise<unknown> => guest.eval(FORGE, b.address, forged(vni, there.mac, there.ip).toString('hex'));
    const came = async (): Promise<number> => (await there.netns.eval<number[]>(RECORDED)).length;
    await forge();
    expect(await came()).toBe(0);
    // without the rule, which the audit puts back, it does
    await until('the frame', async () => {
      await a.netns.kernel.run(['nft', 'delete', 'table', 'inet', 'coat'], { okCodes: [0, 1] });
      await forge();
      return (await came()) > 0;
    }, { timeout: PATIENCE_MS });
    await until('the rule to be back', async () => (await a.netns.run('nft', 'list', 'tables')).includes('inet coat'), { timeout: PATIENCE_MS });
    await a.driver.stop();
    expect(await a.netns.run('nft', 'list', 'tables')).not.toContain('coat');
  });

  it('an internal network has no way out', async () => {
    const na = await a.engine.createNetwork('10.44.0.0/24', { 'com.docker.network.internal': true });
    const one = await a.engine.run(na, { subnet: '10.44.0.0/24' });
    const two = await a.engine.run(na, { subnet: '10.44.0.0/24' });
    await two.netns.start(ECHO);
    await b.netns.start(ECHO);
    expect(await one.netns.eval(PING, two.ip, 2, 1, 60)).toEqual([0, 1]);
    await one.netns.run('ip', 'route', 'add', 'default', 'dev', 'eth0');
    expect(await one.netns.eval(PING, b.address, 2, 1, 60)).toEqual([]);
    // nor to the host it is on, which would hear what it cannot answer
    await a.netns.start(RECORD);
    await one.netns.eval(PING, a.address, 2, 1, 60);
    expect(await a.netns.eval(RECORDED)).toEqual([]);
    await a.netns.eval(PING, '127.0.0.1', 1, 1, 60);
    expect(await a.netns.eval(RECORDED)).toEqual([0]);
  });

  it('passes where Docker lets nothing pass', async () => {
    for (const rule of [['-P', 'FORWARD', 'DROP'], ['-N', 'DOCKER-USER'], ['-A', 'FORWARD', '-j', 'DOCKER-USER'], ['-A', 'DOCKER-USER', '-j', 'RETURN']]) await a.netns.run('iptables', ...rule);
    const na = await a.engine.createNetwork();
    const [one, two] = [await a.engine.run(na), await a.engine.run(na)];
    await two.netns.start(ECHO);
    await b.netns.start(ECHO);
    // bridged frames too go through FORWARD where br_netfilter is on
    expect(await one.netns.eval(PING, two.ip, 2, 1, 60)).toEqual([0, 1]);
    expect(await one.netns.eval(PING, b.address, 2, 1, 60)).toEqual([0, 1]);
    await a.netns.run('iptables', '-F', 'DOCKER-USER');
    const back = async (): Promise<boolean> => (await a.netns.run('iptables', '-S', 'DOCKER-USER')).match(/cb\+.*ACCEPT/g)?.length === 3;
    await until('the rules to come back', back, { timeout: PATIENCE_MS });
    await a.engine.stop(na, one);
    await a.engine.stop(na, two);
    expect(await a.netns.run('iptables', '-S', 'DOCKER-USER')).not.toContain('cb+');
  });
});

describe("a namespace in the host's mount namespace", () => {
  it('is seen there, by its path, and not here', async () => {
    await using netns = await Netns.create('mount');
    // a host with a /run of its own
    const host = spawn('unshare', ['--mount', 'sh', '-c', 'mount -t tmpfs none /run && echo ready && exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await new Promise((resolve) => host.stdout.once('data', resolve));
      const place = { kernel: netns.kernel, hostRoot: `/proc/${host.pid}/root` };
      const name = `coat-t-${randomBytes(4).toString('hex')}`;
      const seen = await createNetns(place, name);
      expect(seen).toBe(place.hostRoot + netnsPath(name));
      expect(existsSync(netnsPath(name))).toBe(false);
      const inHost = ['nsenter', `--mount=/proc/${host.pid}/ns/mnt`, '--', 'nsenter', `--net=${netnsPath(name)}`, '--'] as const;
      expect((await run([...inHost, 'ip', '-o', 'link'])).stdout).toMatch(/^1: lo: <LOOPBACK,UP/);
      await removeNetns(place, name);
      await removeNetns(place, name);
      expect(existsSync(seen)).toBe(false);
    } finally {
      host.kill('SIGKILL');
    }
  });

  it.each(['', '../x', 'a/b', '.hidden'])('is not called %j', (name) => expect(() => netnsPath(name)).toThrow(/cannot be the name/));
});
