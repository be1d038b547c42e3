import fc from 'fast-check';
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../../../driver/host/until.ts';
import { MemoryStore } from '../../../driver/store/memory.ts';
import { callPlugin } from '../../support/caller.ts';
import { tempDir, unitHost, type UnitHost } from './support.ts';

const METHODS = [
  'NetworkDriver.CreateNetwork', 'NetworkDriver.DeleteNetwork', 'NetworkDriver.CreateEndpoint', 'NetworkDriver.DeleteEndpoint', 'NetworkDriver.EndpointOperInfo',
  'NetworkDriver.Join', 'NetworkDriver.Leave', 'NetworkDriver.ProgramExternalConnectivity', 'NetworkDriver.RevokeExternalConnectivity',
  'IpamDriver.RequestPool', 'IpamDriver.ReleasePool', 'IpamDriver.RequestAddress', 'IpamDriver.ReleaseAddress',
];
const NETWORKS = ['aa', 'bb'].map((part) => part.repeat(32));
const ENDPOINTS = ['11', '22', '33'].map((part) => part.repeat(32));
const SUBNETS = ['10.42.0.0/29', '10.43.0.0/29'];

let store: MemoryStore;
let host: UnitHost;
beforeEach(async () => {
  store = new MemoryStore();
  await store.put('hosts/a', { name: 'a', address: '192.168.0.1' }, 'any');
  host = await unitHost(store, 'a');
});
afterEach(() => host.driver.stop());

/** An answer as Docker wants it: `{}` with something in it, or a sentence for a person. */
function expectAnswer({ status, json }: { status: number; json: Record<string, unknown> }): void {
  expect(json).toBeTypeOf('object');
  if (status === 200) return expect(json.Err).toBeUndefined();
  expect(json.Err).toMatch(/\w+ \w+/);
  // the words of a defect, which tell a person nothing
  expect(String(json.Err).replace(/^the request makes no sense.*/, '')).not.toMatch(/undefined|Cannot read|is not a function|is not iterable|\[object |NaN/);
}

/** Something like what Docker sends: the right fields, with values that are right, wrong or absent. */
const scrap = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null), fc.array(fc.string(), { maxLength: 3 }), fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }));
const either = <T>(...values: T[]): fc.Arbitrary<unknown> => fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...values) }, { weight: 1, arbitrary: scrap });
const address = either('', '10.42.0.2', '10.42.0.2/29', '10.42.0.3/29', '10.42.0.1/29', '10.43.0.2/29', '10.42.0.7/29', '300.1.1.1', 'fd00::2');
const call = fc.tuple(
  fc.constantFrom(...METHODS),
  fc.record(
    {
      NetworkID: either(...NETWORKS),
      EndpointID: either(...ENDPOINTS),
      AddressSpace: either('coat'),
      Pool: either(...SUBNETS, '10.42.0.0/16', '10.0.0.0/33'),
      SubPool: either('', '10.42.0.4/30'),
      PoolID: either(...SUBNETS.map((subnet) => `coat/${subnet}`)),
      Address: address,
      Interface: fc.oneof(scrap, fc.record({ Address: address, MacAddress: either('', '02:42:0a:2a:00:02', 'zz') }, { requiredKeys: [] })),
      IPv4Data: fc.array(fc.record({ AddressSpace: either('coat'), Pool: either(...SUBNETS), Gateway: address, AuxAddresses: fc.oneof(scrap, fc.dictionary(fc.string(), fc.constantFrom('10.42.0.5/29', 'x'), { maxKeys: 2 })) }, { requiredKeys: [] }), { maxLength: 2 }),
      Options: fc.oneof(scrap, fc.dictionary(fc.constantFrom('com.docker.network.generic', 'com.docker.network.internal', 'RequestAddressType', 'com.docker.network.portmap'), scrap, { maxKeys: 3 })),
      V6: either(false),
    },
    { requiredKeys: ['NetworkID', 'PoolID', 'Pool'] },
  ),
);

test('any sequence of calls is answered, and when all is taken back nothing is left', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(0, 1, 2), fc.array(call, { minLength: 5, maxLength: 40 }), async (networks, calls) => {
      for (let i = 0; i < networks; i += 1) await makeNetwork(i);
      for (const [method, body] of calls) {
        const text = JSON.stringify(body);
        expectAnswer(await callPlugin(host.driver, method, text));
      }
      for (const EndpointID of ENDPOINTS) {
        for (const NetworkID of NETWORKS) expectAnswer(await callPlugin(host.driver, 'NetworkDriver.DeleteEndpoint', JSON.stringify({ NetworkID, EndpointID })));
      }
      await takeBack();
      expect((await store.list('claims/')).entries).toEqual([]);
      for (const kind of ['endpoints', 'networks', 'arrivals']) expect(filesOf(kind)).toEqual([]);
      expect(host.driver.replica.claims.size).toBe(0);
    }),
    { numRuns: 60 },
  );
}, 120_000);

/** Without a network most calls end before anything interesting. */
async function makeNetwork(i: number): Promise<void> {
  const Pool = SUBNETS[i]!;
  await host.call('IpamDriver.RequestPool', { AddressSpace: 'coat', Pool });
  await host.call('NetworkDriver.CreateNetwork', { NetworkID: NETWORKS[i]!, IPv4Data: [{ AddressSpace: 'coat', Pool }] });
}

function filesOf(kind: string): string[] {
  const directory = join(host.stateDir, kind);
  return existsSync(directory) ? readdirSync(directory) : [];
}

/** As Docker does it: each address that was leased, then the networks. */
async function takeBack(): Promise<void> {
  for (const { key } of (await store.list('claims/')).entries) {
    const [, subnet, Address] = key.split('/') as [string, string, string];
    await host.call('IpamDriver.ReleaseAddress', { PoolID: `coat/${subnet.replace('-', '/')}`, Address });
  }
  for (const { id } of host.driver.networksOnEngine()) await host.call('NetworkDriver.DeleteNetwork', { NetworkID: id });
  for (const { key, revision } of (await store.list('networks/')).entries) await store.delete(key, revision);
  await until('the replica to follow', () => host.driver.replica.networks.size === 0, { timeout: 5_000, every: 2 });
}

test('any bytes are answered', async () => {
  const bytes = fc.oneof(fc.string({ unit: 'binary' }), fc.json(), fc.constantFrom('{', '[]', '"x"', '{"NetworkID":"', '\0', '9'.repeat(400), '['.repeat(5_000)));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...METHODS, 'Plugin.Activate', 'No.Such', '../etc'), bytes, async (method, body) => {
      const { status, json } = await callPlugin(host.driver, method, body);
      expect([200, 404, 500]).toContain(status);
      expectAnswer({ status, json });
    }),
    { numRuns: 300 },
  );
  expect((await host.call('NetworkDriver.GetCapabilities')).Scope).toBe('local');
}, 60_000);

test('what is not HTTP, or stops in the middle, hurts nobody else', async () => {
  const path = join(tempDir(), 'plugin.sock');
  const server: Server = createServer(host.driver.app as never);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string({ unit: 'binary' }), fc.constant('POST /NetworkDriver.Join HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"Netw')), fc.boolean(), async (text, abrupt) => {
        await new Promise<void>((resolve) => {
          const socket = connect(path, () => {
            socket.write(text, () => (abrupt ? socket.destroy() : socket.end()));
          });
          socket.on('error', () => undefined).on('close', () => resolve()).resume();
        });
      }),
      { numRuns: 60 },
    );
    expect((await callPlugin(host.driver, 'Plugin.Activate', '')).status).toBe(200);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}, 60_000);
