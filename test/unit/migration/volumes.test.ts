import { describe, expect, test } from 'vitest';
import { CoatError } from '../../../driver/host/errors.ts';
import type { Inspect } from '../../../plugin/engine/containers.ts';
import type { VolumeInspect } from '../../../plugin/engine/volumes.ts';
import type { VolumesHow } from '../../../plugin/agent/api.ts';
import { boundBy, type CarriedVolume, carriedVolumes, ownMounts, refusedVolumes, type VolumeThere } from '../../../plugin/migration/volumes.ts';

const HASH = 'a'.repeat(64);
const volume = (change: Partial<VolumeInspect> = {}): VolumeInspect => ({ Name: 'data', Driver: 'local', Mountpoint: '/v/data', Labels: null, Options: null, ...change });
const carried = (of: VolumeInspect, how: VolumesHow = 'copy', others: string[] = []) => carriedVolumes([{ volume: of, others }], how, { name: 'api', self: 'h1' });
const code = (result: unknown): unknown => (result instanceof CoatError ? (expect(result.hint).toBeTruthy(), result.code) : result);

describe('what becomes of a volume', () => {
  test.each<[string, Partial<VolumeInspect>, VolumesHow, string]>([
    ['a directory', {}, 'copy', 'copy'],
    ['a directory with a quota', { Options: { size: '10G' } }, 'copy', 'copy'],
    ['a directory that is shared', {}, 'shared', 'there'],
    ['one without a name, which cannot be', { Name: HASH }, 'shared', 'copy'],
    ['NFS', { Options: { type: 'nfs', o: 'addr=10.0.0.1,rw', device: ':/export' } }, 'copy', 'made'],
    ['a directory of the host', { Options: { type: 'none', o: 'bind', device: '/srv/data' } }, 'copy', 'made'],
    ['memory', { Options: { type: 'tmpfs', device: 'tmpfs' } }, 'shared', 'copy'],
    ['another driver', { Driver: 'rexray' }, 'copy', 'made'],
    ['a disk that both have', { Options: { type: 'ext4', device: '/dev/sdb' } }, 'shared', 'made'],
  ])('%s', (_, change, how, carry) => {
    expect(carried(volume(change), how)).toMatchObject([{ carry }]);
  });

  test('what is in memory is there only while a container has it', () => {
    expect(carried(volume({ Options: { type: 'tmpfs', device: 'tmpfs' } }))).toMatchObject([{ memory: true }]);
    expect(carried(volume())).toMatchObject([{ memory: false }]);
  });

  test('what is refused', () => {
    expect(code(carried(volume(), 'refuse'))).toBe('volume');
    expect(code(carried(volume(), 'copy', ['web']))).toBe('volume-in-use');
    expect(carried(volume(), 'shared', ['web'])).toMatchObject([{ carry: 'there' }]);
    expect(code(carried(volume({ Options: { type: 'ext4', device: '/dev/sdb' } })))).toBe('volume-on-disk');
  });

  test('a directory of the host has to be at the destination', () => {
    expect(boundBy(carried(volume({ Options: { type: 'none', o: 'bind', device: '/srv/data' } })) as CarriedVolume[])).toEqual(['/srv/data']);
    expect(boundBy(carried(volume()) as CarriedVolume[])).toEqual([]);
  });
});

describe('what the destination has to say', () => {
  const coming = (change: Partial<CarriedVolume> = {}): CarriedVolume => ({ name: 'data', driver: 'local', labels: {}, options: {}, carry: 'copy', memory: false, ...change });
  const refused = (there: Partial<VolumeThere> | undefined, change: Partial<CarriedVolume> = {}) =>
    code(refusedVolumes([coming(change)], new Map(there ? [['data', { volume: volume(), empty: true, users: [], ...there }]] : []), ['local'], 'h2'));

  test.each<[string, Partial<VolumeThere> | undefined, Partial<CarriedVolume>, string | undefined]>([
    ['none of that name', undefined, {}, undefined],
    ['an empty one', {}, {}, undefined],
    ['one with something in it', { empty: false }, {}, 'volume-taken'],
    ['one of another container', { users: ['web'] }, {}, 'volume-taken'],
    ['one that is another', { volume: volume({ Options: { type: 'nfs' } }) }, {}, 'volume-differs'],
    ['the shared one', { empty: false, users: ['web'] }, { carry: 'there' }, undefined],
    ['a shared one that is not there', undefined, { carry: 'there' }, 'no-volume'],
    ['an unknown driver', undefined, { driver: 'rexray', carry: 'made' }, 'no-volume-driver'],
    ['the same NFS', { volume: volume({ Options: { type: 'nfs' } }), empty: false }, { carry: 'made', options: { type: 'nfs' } }, undefined],
  ])('%s', (_, there, change, wanted) => expect(refused(there, change)).toBe(wanted));
});

describe('how the mounts are told', () => {
  const told = (Mounts: Inspect['Mounts'], HostConfig: object) => ownMounts({ Mounts, HostConfig: HostConfig as Inspect['HostConfig'] });
  const at = (Destination: string, Name: string, more: object = {}) => ({ Type: 'volume', Source: '/v', Destination, Name, ...more });

  test('as they were, where they have names', () => {
    expect(told([at('/data', 'data')], { Binds: ['data:/data/:ro'], Mounts: null })).toEqual({ Binds: ['data:/data/:ro'], Mounts: null, VolumesFrom: null });
  });

  test('by their names, where the engine has given them one', () => {
    expect(told([at('/data', HASH)], { Binds: null })).toMatchObject({ Binds: [`${HASH}:/data`] });
    expect(told([at('/data', HASH)], { Mounts: [{ Type: 'volume', Target: '/data' }] })).toMatchObject({ Binds: null, Mounts: [{ Type: 'volume', Target: '/data', Source: HASH }] });
  });

  test('what came from another container becomes its own', () => {
    const theirs = [at('/data', 'data', { RW: false }), { Type: 'bind', Source: '/srv', Destination: '/srv', RW: true }];
    expect(told(theirs, { Binds: null, VolumesFrom: ['web'] })).toEqual({ Binds: ['data:/data:ro', '/srv:/srv'], Mounts: null, VolumesFrom: null });
  });
});
