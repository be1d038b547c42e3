import { describe, expect, test } from 'vitest';
import { daemonJson, hostsFile } from '../../../lab/disk.ts';
import { isNetnsOf, netnsName } from '../../../lab/places.ts';
import { checkName, parseCgroup, parseEngines, parseHosts, parseRate, parseStores, planHosts, switchAddress, type LabSpec } from '../../../lab/spec.ts';
import { statusText } from '../../../lab/status.ts';
import { pickSubnet } from '../../../lab/subnet.ts';

describe('what is asked for', () => {
  test.each(['coat', 'a', 't-lab', '0', 'a'.repeat(20)])('"%s" is a lab\'s name', (name) => expect(checkName(name)).toBe(name));
  test.each(['', '-a', 'a-', 'A', 'a_b', 'a/b', '..', 'a'.repeat(21)])('"%s" is none', (name) => {
    expect(() => checkName(name)).toThrow(expect.objectContaining({ code: 'lab-name' }));
  });

  test('engines are a list of known ones', () => {
    expect(parseEngines('26')).toEqual([26]);
    expect(parseEngines('28, 26')).toEqual([28, 26]);
    for (const text of ['', '27', '26,', '26.1']) expect(() => parseEngines(text)).toThrow(expect.objectContaining({ code: 'lab-engine' }));
  });

  test('stores are a list of known ones', () => {
    expect(parseStores('containerd, overlay2')).toEqual(['containerd', 'overlay2']);
    for (const text of ['', 'btrfs', 'overlay2,']) expect(() => parseStores(text)).toThrow(expect.objectContaining({ code: 'lab-store' }));
  });

  test('hosts are a number that fits into the subnet', () => {
    expect([parseHosts('1'), parseHosts('200')]).toEqual([1, 200]);
    for (const text of ['0', '201', '-1', '1.5', 'x', '']) expect(() => parseHosts(text)).toThrow(expect.objectContaining({ code: 'lab-hosts' }));
  });

  test('there are two cgroup versions', () => {
    expect([parseCgroup('1'), parseCgroup('2')]).toEqual([1, 2]);
    expect(() => parseCgroup('3')).toThrow(expect.objectContaining({ code: 'lab-cgroup' }));
  });

  test.each(['100mbit', '1.5gbit', '800kbit', '12mbps', '64bit'])('"%s" is a rate', (rate) => expect(parseRate(rate)).toBe(rate));
  test.each(['', '100', 'mbit', '0mbit', '100 mbit', '-1mbit', '100mb', '1mbit dev eth0'])('"%s" is none', (rate) => {
    expect(() => parseRate(rate)).toThrow(expect.objectContaining({ code: 'lab-rate' }));
  });
});

describe('a plan', () => {
  test('gives hosts names, addresses, engines and stores in turn', () => {
    expect(planHosts(3, [26, 28], 7, ['containerd', 'overlay2', 'overlay2'])).toEqual([
      { name: 'h1', address: '10.213.7.1', engine: 26, store: 'containerd' },
      { name: 'h2', address: '10.213.7.2', engine: 28, store: 'overlay2' },
      { name: 'h3', address: '10.213.7.3', engine: 26, store: 'overlay2' },
    ]);
  });

  test('the switch has an address that no host gets', () => {
    expect(planHosts(200, [26], 7).map((host) => host.address)).not.toContain(switchAddress(7));
  });

  test('a name has always the same subnet, and another one where that is used', () => {
    const own = pickSubnet('coat', new Set());
    expect(pickSubnet('coat', new Set())).toBe(own);
    expect(pickSubnet('coat', new Set([own]))).toBe((own + 1) % 256);
    expect(pickSubnet('coat', new Set(Array.from({ length: 256 }, (_, i) => i)))).toBe(own);
  });
});

describe('names in the kernel', () => {
  test('a lab knows its network namespaces from those of one whose name starts alike', () => {
    expect(isNetnsOf('dev', netnsName('dev', 'h12'))).toBe(true);
    expect(isNetnsOf('dev', netnsName('dev', 'switch'))).toBe(true);
    expect(isNetnsOf('dev', netnsName('dev', 'seed'))).toBe(true);
    expect(isNetnsOf('dev', netnsName('dev-2', 'h1'))).toBe(false);
    expect(isNetnsOf('dev-2', netnsName('dev', 'h1'))).toBe(false);
    expect(isNetnsOf('dev', 'h1')).toBe(false);
  });
});

describe('a host\'s files', () => {
  const spec: LabSpec = { name: 'x', subnet: 7, cgroup: 1, hosts: planHosts(2, [26], 7) };

  test('every host knows all of them by name, and the seed\'s host itself', () => {
    expect(hostsFile(spec, 'h2')).toBe('127.0.0.1 localhost\n::1 localhost\n10.213.7.1 h1\n10.213.7.2 h2\n');
    expect(hostsFile(spec, 'seed')).toContain('127.0.1.1 seed\n');
  });

  test('the engine has the runtime from its first start', () => {
    expect(daemonJson()).toMatchObject({ runtimes: { coat: { path: expect.stringMatching(/^\//) as string } } });
  });
});

test('the status says what runs and what does not', () => {
  const hosts = [
    { name: 'h1', address: '10.213.7.1', engine: 26, running: true, version: '26.1.5' },
    { name: 'h2', address: '10.213.7.2', engine: 28, running: true },
    { name: 'h3', address: '10.213.7.3', engine: 26, running: false },
  ];
  expect(statusText({ name: 'x', subnet: '10.213.7.0/24', cgroup: 1, shared: '/s', hosts }).split('\n')).toEqual([
    'lab x (10.213.7.0/24, cgroup v1)',
    '  h1   10.213.7.1       Docker 26.1.5',
    '  h2   10.213.7.2       Docker 28, not answering',
    '  h3   10.213.7.3       down',
    '  /share in every host is /s',
  ]);
});
