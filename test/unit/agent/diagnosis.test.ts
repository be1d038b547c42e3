import { expect, test } from 'vitest';
import type { Status } from '../../../plugin/agent/api.ts';
import type { TunnelTrial } from '../../../plugin/agent/probes/tunnels.ts';
import { diagnose, type HostFacts } from '../../../plugin/agent/local/diagnosis.ts';

const status: Status = {
  version: '1', api: 1, host: 'h1', address: '192.0.2.1',
  store: { state: 'ok', endpoint: 'etcd on h1', revision: 7 },
  engine: { version: '28.5', apiVersion: '1.51' },
  runtime: 'registered',
  criu: { version: '4.2.1', path: '/usr/sbin/criu', carried: false },
  hosts: [{ name: 'h1', address: '192.0.2.1', version: '1', self: true, reachable: true }, { name: 'h2', address: '192.0.2.2', version: '1', self: false, reachable: true, carries: 1500 }],
  paths: [],
  migrations: [],
};
const OPEN = { left: true, arrived: true, passed: true };
const well: HostFacts = { status, storage: 'overlay2', lacking: [], clocks: new Map([['h2', 40]]), mtu: 1450, networks: [{ name: 'shop', mtu: 1450 }], dump: undefined, tunnels: new Map([['h2', { there: OPEN, back: OPEN, answered: true }]]), ports: { agents: 7947, tunnels: 4798 } };

test('a host that is well has nothing to be done', () => {
  const findings = diagnose(well);
  expect(findings.filter(({ state }) => state !== 'ok')).toEqual([]);
  expect(findings.map(({ check }) => check)).toEqual(['engine', 'storage', 'runtime', 'CRIU', 'kernel', 'store', 'host h2']);
});

const withStatus = (change: Partial<Status>): HostFacts => ({ ...well, status: { ...status, ...change } });
const withTrial = (change: Partial<TunnelTrial>): HostFacts => ({ ...well, tunnels: new Map([['h2', { there: OPEN, back: OPEN, answered: true, ...change }]]) });
const [IN, BETWEEN, OUT] = [{ ...OPEN, passed: false }, { left: true, arrived: false, passed: false }, { left: false, arrived: false, passed: false }];
const h2 = status.hosts[1]!;

test.each<[string, HostFacts, string, 'warning' | 'problem', RegExp]>([
  ['an engine that is away', withStatus({ engine: { problem: 'no engine' }, runtime: 'unknown' }), 'engine', 'problem', /no engine/],
  ['another storage driver', { ...well, storage: 'btrfs' }, 'storage', 'problem', /btrfs/],
  ['no runtime', withStatus({ runtime: 'missing' }), 'runtime', 'problem', /nothing can move/],
  ['no CRIU', withStatus({ criu: { problem: 'it cannot dump' } }), 'CRIU', 'problem', /cannot dump/],
  ['a CRIU that dumps no TCP', { ...well, dump: "Can't get 1:16 opt" }, 'CRIU', 'problem', /4\.2\.1.*does not dump a TCP connection here: Can't get/],
  ['a firewall here, out', withTrial({ there: OUT }), 'firewall', 'problem', /^the firewall of h1 does not let out what containers on h1 send to h2 \(UDP 4798\)/],
  ['a firewall here, in', withTrial({ back: IN }), 'firewall', 'problem', /^the firewall of h1 drops what containers on h2 send to h1/],
  ['a firewall there, in', withTrial({ there: IN }), 'firewall', 'problem', /^the firewall of h2 drops/],
  ['something between', withTrial({ back: BETWEEN }), 'firewall', 'problem', /^something between h2 and h1 drops/],
  ['a host that cannot answer by itself', withTrial({ answered: false }), 'host h2', 'problem', /does not reach the agent of this host, 192\.0\.2\.1/],
  ['a trial that failed', { ...well, tunnels: new Map([['h2', { problem: 'it broke' }]]) }, 'host h2', 'warning', /not found out: it broke/],
  ['a kernel without VXLAN', { ...well, lacking: [{ what: 'VXLAN', why: 'Operation not supported' }] }, 'kernel', 'problem', /VXLAN.*not supported/],
  ['a store that is away', withStatus({ store: { ...status.store, state: 'away' } }), 'store', 'problem', /does not answer/],
  ['a host that is away', withStatus({ hosts: [{ ...h2, reachable: false }] }), 'host h2', 'problem', /cannot be reached/],
  ['another version', withStatus({ hosts: [{ ...h2, version: '2' }] }), 'host h2', 'warning', /version 2/],
  ['a clock that is odd', { ...well, clocks: new Map([['h2', -3_000]]) }, 'clock', 'warning', /3\.0 s behind/],
  ['a clock that is wrong', { ...well, clocks: new Map([['h2', 600_000]]) }, 'clock', 'problem', /600\.0 s ahead/],
  ['a path that became narrow', withStatus({ hosts: [{ ...h2, carries: 1400 }] }), 'MTU', 'problem', /^the path to h2 carries 1400 bytes, network shop sends up to 1500 \(1450 and 50 of VXLAN\)/],
  ['a host that answers no ping', withStatus({ hosts: [{ ...status.hosts[1]!, carries: undefined } as never] }), 'MTU', 'warning', /answers no ping/],
  ['a way that became narrow', { ...well, mtu: 1400 }, 'MTU', 'problem', /1450 bytes, and 1400 fit/],
])('%s is found, with a remedy', (_, facts, check, state, found) => {
  const wrong = diagnose(facts).filter((finding) => finding.state !== 'ok');
  expect(wrong).toEqual([{ check, state, found: expect.stringMatching(found) as string, remedy: expect.stringMatching(/\w/) as string }]);
});
