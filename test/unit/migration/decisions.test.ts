import { describe, expect, test } from 'vitest';
import type { Claim } from '../../../driver/overlay/records.ts';
import type { Inspect } from '../../../plugin/engine/containers.ts';
import { announce, redirect, takeOver, withdraw } from '../../../plugin/migration/claims.ts';
import { type DestinationFacts, refusalAtDestination, refusalAtSource, refusedCriu, type SourceFacts } from '../../../plugin/migration/preflight.ts';
import { destinationBody } from '../../../plugin/migration/spec.ts';

const inspect = (change: { State?: object; HostConfig?: object; Mounts?: Inspect['Mounts']; GraphDriver?: Inspect['GraphDriver']; networks?: string[] } = {}): Inspect => ({
  Id: 'abcdef0123456789',
  Name: '/api',
  Image: 'sha256:1',
  State: { Status: 'running', Running: true, Paused: false, Restarting: false, Pid: 7, ...change.State },
  Config: { Image: 'api:1', Hostname: 'abcdef012345', Tty: false, OpenStdin: false, Env: ['A=b'], Labels: { x: 'y' } },
  HostConfig: { NetworkMode: 'shop', PidMode: '', IpcMode: 'private', UsernsMode: '', Privileged: false, AutoRemove: false, RestartPolicy: { Name: 'no' }, Devices: [], DeviceRequests: null, Runtime: 'runc', LogConfig: { Type: 'json-file', Config: {} }, Memory: 5, ...change.HostConfig },
  Mounts: change.Mounts ?? [],
  GraphDriver: change.GraphDriver ?? { Name: 'overlay2', Data: { UpperDir: '/u' } },
  NetworkSettings: {
    Networks: Object.fromEntries(
      (change.networks ?? ['shop']).map((name) => [name, { NetworkID: name, IPAddress: '10.42.0.2', IPPrefixLen: 24, GlobalIPv6Address: '', GlobalIPv6PrefixLen: 0, MacAddress: '02:42:0a:2a:00:02', Aliases: ['web', 'abcdef012345'], IPAMConfig: null }]),
    ),
  },
});

const source = (change: Partial<SourceFacts> = {}): SourceFacts => ({
  self: 'h1', to: 'h2', hosts: ['h1', 'h2'], ref: 'api', inspect: inspect(), coatNetworks: new Set(['shop']), undumpable: [], nameless: { bytes: 0, linked: undefined }, stopped: false, limitsReadable: true, criu: { version: '4.2.1' }, kernel: '6.18.1', imageThere: true, volumes: [], how: 'copy', ...change,
});

describe('what the source refuses', () => {
  test.each<[string, Partial<SourceFacts>]>([
    ['unknown-host', { to: 'nowhere' }],
    ['already-there', { to: 'h1' }],
    ['no-container', { inspect: undefined }],
    ['paused', { inspect: inspect({ State: { Paused: true } }) }],
    ['restarting', { inspect: inspect({ State: { Restarting: true } }) }],
    ['not-running', { inspect: inspect({ State: { Running: false } }) }],
    ['privileged', { inspect: inspect({ HostConfig: { Privileged: true } }) }],
    ['pid-mode', { inspect: inspect({ HostConfig: { PidMode: 'host' } }) }],
    ['ipc-mode', { inspect: inspect({ HostConfig: { IpcMode: 'container:x' } }) }],
    ['devices', { inspect: inspect({ HostConfig: { Devices: [{}] } }) }],
    ['no-coat-network', { coatNetworks: new Set() }],
    ['no-coat-network', { inspect: inspect({ networks: [] }) }],
    ['foreign-network', { inspect: inspect({ networks: ['shop', 'bridge'] }) }],
    ['volume', { how: 'refuse', volumes: [{ volume: { Name: 'data', Driver: 'local', Mountpoint: '/v', Labels: null, Options: null }, others: [] }] }],
    ['storage-driver', { inspect: inspect({ GraphDriver: { Name: 'btrfs', Data: null } }) }],
    ['no-criu', { criu: { problem: 'not found' } }],
    ['old-criu', { criu: { version: '4.1.1' } }],
    ['undumpable', { undumpable: ['io_uring'] }],
    ['deleted-link', { nameless: { bytes: 0, linked: '/srv/a' } }],
    ['deleted-files', { nameless: { bytes: 2 ** 30, linked: undefined } }],
    ['stopped-process', { stopped: true }],
    ['no-sys-resource', { limitsReadable: false }],
    ['image-gone', { imageThere: false }],
  ])('%s', (code, change) => {
    const refusal = refusalAtSource(source(change));
    expect(refusal?.code).toBe(code);
    expect(refusal?.hint).toBeTruthy();
    expect(refusal?.message).not.toContain('undefined');
  });

  test('and nothing else, in whichever of the two stores', () => {
    expect(refusalAtSource(source({ inspect: inspect({ GraphDriver: { Name: 'overlayfs', Data: null } }) }))).toBeUndefined();
    expect(refusalAtSource(source())).toBeUndefined();
  });
});

const destination = (change: Partial<DestinationFacts> = {}): DestinationFacts => ({
  self: 'h2',
  offer: { container: 'api', image: { id: 'i', ref: 'r', content: 'c', layers: [], digests: [], created: 0 }, networks: [{ name: 'shop', network: '10.42.0.0-24' }], binds: [], architecture: 'x64', cpu: ['avx2'], memory: 1000, volumes: [], room: { layer: 1, volumes: 0, image: 0 } },
  nameTaken: false, runtimes: ['runc', 'coat'], storage: 'overlay2', api: '1.44', architecture: 'x64', cpu: ['avx2', 'avx512f'], networks: new Set(['10.42.0.0-24']), missingBinds: [], volumes: new Map(), volumeDrivers: ['local'], disk: { missing: 0, free: 1e9 }, memoryAvailable: 1e9, criu: { version: '4.2' }, kernel: '6.18', ...change,
});

describe('what the destination refuses', () => {
  test.each<[string, Partial<DestinationFacts>]>([
    ['name-taken', { nameTaken: true }],
    ['no-runtime', { runtimes: ['runc'] }],
    ['storage-differs', { storage: 'zfs' }],
    ['one-network', { api: '1.43', offer: { ...destination().offer, networks: ['a', 'b'].map((name) => ({ name, network: '10.42.0.0-24' })) } }],
    ['architecture', { architecture: 'arm64' }],
    ['cpu', { cpu: ['sse2'] }],
    ['no-network', { networks: new Set() }],
    ['no-mount', { missingBinds: ['/data'] }],
    ['no-disk', { disk: { missing: 5e6, free: 1e6 } }],
    ['no-memory', { memoryAvailable: 1500 }],
    ['old-criu', { criu: { version: '3.17' } }],
  ])('%s', (code, change) => {
    const refusal = refusalAtDestination(destination(change));
    expect(refusal?.code).toBe(code);
    expect(refusal?.hint).toBeTruthy();
  });

  test('and nothing else, in whichever of the two stores', () => {
    expect(refusalAtDestination(destination({ storage: 'overlayfs' }))).toBeUndefined();
    expect(refusalAtDestination(destination())).toBeUndefined();
  });
});

test('CRIU before 4.2 is fine on kernels before 6.16', () => {
  expect(refusedCriu({ version: '4.1.1' }, '6.12.3-amd64', 'h')).toBeUndefined();
  expect(refusedCriu({ version: '3.14' }, '6.1', 'h')?.code).toBe('old-criu');
  expect(refusedCriu({ version: '4.10' }, '7.0', 'h')).toBeUndefined();
});

test('the destination creates the same container with every address pinned', () => {
  const body = destinationBody(inspect(), false);
  expect(body).toMatchObject({ Hostname: 'abcdef012345', Env: ['A=b'], Labels: { x: 'y' }, HostConfig: { Memory: 5, Runtime: 'coat' } });
  expect(body['NetworkingConfig']).toEqual({
    EndpointsConfig: { shop: { IPAMConfig: { IPv4Address: '10.42.0.2' }, MacAddress: '02:42:0a:2a:00:02', Links: null, Aliases: ['web'], DriverOpts: null } },
  });
});

test("a network that is named by its engine's id gets its name", () => {
  const body = destinationBody({ ...inspect({ HostConfig: { NetworkMode: 'e9a5' } }), NetworkSettings: { Networks: { shop: { ...inspect().NetworkSettings.Networks['shop']!, NetworkID: 'e9a5' } } } }, false);
  expect(body['HostConfig']).toMatchObject({ NetworkMode: 'shop' });
});

describe('a claim on its way', () => {
  const claim: Claim = { network: 'n', ip: '10.42.0.2', mac: 'm', host: 'h1', epoch: 3 };

  test('goes over with a higher epoch and without traces', () => {
    expect(takeOver('h2')(redirect('h2')(announce('h2')(claim)))).toEqual({ ...claim, host: 'h2', epoch: 4 });
  });

  test('is taken over once only', () => {
    const there = takeOver('h2')(claim)!;
    expect(takeOver('h2')(there)).toBeUndefined();
  });

  test('comes back unchanged when the move is withdrawn', () => {
    expect(withdraw('h1')(redirect('h2')(announce('h2')(claim)))).toEqual(claim);
  });

  test('is not touched by a withdrawal after it went over', () => {
    expect(withdraw('h1')({ ...claim, host: 'h2', epoch: 4 })).toBeUndefined();
  });
});
