import { z } from 'zod';
import { CoatError } from '../../driver/host/errors.ts';
import type { VolumesHow } from '../agent/api.ts';
import type { Inspect } from '../engine/containers.ts';
import type { VolumeInspect } from '../engine/volumes.ts';

/** A volume of a container that moves, as the source tells the destination of it. */
export const CarriedVolume = z.object({
  name: z.string(),
  driver: z.string(),
  labels: z.record(z.string(), z.string()),
  options: z.record(z.string(), z.string()),
  /**
   * `copy`: made at the destination, and filled. `made`: made there from the same options, which say where its content is.
   * `there`: has to be there already.
   */
  carry: z.enum(['copy', 'made', 'there']),
  /** Whether its content is in memory and is there only while a container has it. */
  memory: z.boolean(),
});
export type CarriedVolume = z.infer<typeof CarriedVolume>;

/** A volume of the container at the source, and who else has it. */
export interface VolumeFacts {
  volume: VolumeInspect;
  /** Other containers, running or not. */
  others: readonly string[];
}

/** File systems that are the same on all hosts that mount them (filesystems(5), mount(8)). */
const NETWORKED = /^(nfs4?|cifs|smb3|ceph|9p|glusterfs|lustre|gpfs|ocfs2|gfs2|fuse\..*)$/;

/** Where the content of a volume of the driver `local` is, by its options (moby volume/local). */
function placeOf(options: Record<string, string>): 'directory' | 'memory' | 'network' | 'bind' | 'disk' {
  const { type = '', device = '', o = '' } = options;
  if (type === 'tmpfs') return 'memory';
  if (o.split(',').some((each) => each === 'bind' || each === 'rbind')) return 'bind';
  if (NETWORKED.test(type)) return 'network';
  return type === '' && device === '' ? 'directory' : 'disk';
}

/** The engine's names for volumes that have none: 64 hexadecimal digits (moby volume/service). */
export const isAnonymous = (name: string): boolean => /^[0-9a-f]{64}$/.test(name);

/** What becomes of one volume. @returns undefined for a disk of this host */
function carryOf({ Name, Driver, Options }: VolumeInspect, how: VolumesHow): CarriedVolume['carry'] | undefined {
  if (Driver !== 'local') return 'made';
  switch (placeOf(Options ?? {})) {
    case 'directory':
      // one without a name cannot be the same on two hosts
      return how === 'shared' && !isAnonymous(Name) ? 'there' : 'copy';
    case 'memory':
      return 'copy';
    case 'network':
    case 'bind':
      return 'made';
    case 'disk':
      return how === 'shared' ? 'made' : undefined;
  }
}

/** What becomes of each volume, or why the container cannot leave this host with them. */
export function carriedVolumes(facts: readonly VolumeFacts[], how: VolumesHow, { name, self }: { name: string; self: string }): CarriedVolume[] | CoatError {
  const carried: CarriedVolume[] = [];
  for (const { volume, others } of facts) {
    const { Name, Driver, Labels, Options } = volume;
    if (how === 'refuse') return refuse('volume', `${name} has the volume ${short(Name)}, and it was said that none is to be carried`, 'leave --volumes refuse out, and it is copied');
    const carry = carryOf(volume, how);
    if (!carry) return refuse('volume-on-disk', `the volume ${short(Name)} of ${name} is on ${Options?.['device'] ?? 'a disk'} of ${self}`, 'if the destination has the same storage, say --volumes shared');
    if (carry === 'copy' && others.length > 0) {
      return refuse('volume-in-use', `the volume ${short(Name)} of ${name} is also ${others[0]}'s on ${self}`, 'remove that container, or say --volumes shared if both hosts have the same storage under that name');
    }
    const options = Options ?? {};
    carried.push({ name: Name, driver: Driver, labels: Labels ?? {}, options, carry, memory: Driver === 'local' && placeOf(options) === 'memory' });
  }
  return carried;
}

/** Directories of the host that the volumes are bound to, and which the destination must have. */
export const boundBy = (volumes: readonly CarriedVolume[]): string[] =>
  volumes.filter(({ driver, options }) => driver === 'local' && placeOf(options) === 'bind').map(({ options }) => options['device'] ?? '').filter((path) => path.startsWith('/'));

/** What the destination knows of a volume of that name. */
export interface VolumeThere {
  volume: VolumeInspect | undefined;
  empty: boolean;
  users: readonly string[];
}

/** The first reason why these volumes cannot come to this host, or nothing. */
export function refusedVolumes(volumes: readonly CarriedVolume[], there: ReadonlyMap<string, VolumeThere>, drivers: readonly string[], self: string): CoatError | undefined {
  for (const { name, driver, options, carry } of volumes) {
    const { volume, empty, users } = there.get(name) ?? { volume: undefined, empty: true, users: [] };
    if (carry === 'there' && !volume) return refuse('no-volume', `${self} has no volume ${short(name)}, which was said to be shared`, 'create it there on the same storage first, or leave --volumes shared out');
    if (!drivers.includes(driver)) return refuse('no-volume-driver', `${self} has no volume driver ${driver}, which the volume ${short(name)} needs`, `install it there (docker plugin install)`);
    if (!volume) continue;
    if (carry === 'copy' && (users.length > 0 || !empty)) {
      const why = users.length > 0 ? `that ${users[0]} has` : 'with something in it';
      return refuse('volume-taken', `${self} has a volume ${short(name)} already, ${why}`, `docker volume rm it there if nobody needs it, or say --volumes shared if it is the same storage`);
    }
    if (carry !== 'there' && (volume.Driver !== driver || !sameOptions(volume.Options ?? {}, options))) {
      return refuse('volume-differs', `${self} has a volume ${short(name)} already, with another driver or other options`, 'docker volume rm it there if nobody needs it');
    }
  }
  return undefined;
}

function sameOptions(one: Record<string, string>, other: Record<string, string>): boolean {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].every((name) => one[name] === other[name]);
}

/**
 * How the destination's engine is told of the mounts: those of a volume without a name are given its name, so that it is the same
 * one; and those that came from another container (`--volumes-from`), which the destination need not have, become its own.
 */
export function ownMounts({ Mounts, HostConfig }: Pick<Inspect, 'Mounts' | 'HostConfig'>): { Binds: string[] | null; Mounts: unknown[] | null; VolumesFrom: null } {
  const mounts = (HostConfig['Mounts'] as { Type: string; Source?: string; Target: string }[] | null | undefined) ?? [];
  const binds = (HostConfig['Binds'] as string[] | null | undefined) ?? [];
  const nameAt = (target: string): string | undefined => Mounts.find(({ Type, Destination }) => Type === 'volume' && Destination === trimmed(target))?.Name;
  const named = mounts.map((mount) => (mount.Type === 'volume' && !mount.Source ? { ...mount, Source: nameAt(mount.Target) } : mount));
  const told = new Set([...mounts.map(({ Target }) => trimmed(Target)), ...binds.map((bind) => trimmed(bind.split(':')[1] ?? ''))]);
  const untold = Mounts.filter(({ Type, Destination }) => (Type === 'volume' || Type === 'bind') && !told.has(Destination));
  const more = untold.map(({ Type, Name, Source, Destination, RW }) => `${Type === 'volume' ? Name : Source}:${Destination}${RW === false ? ':ro' : ''}`);
  return { Binds: binds.length + more.length === 0 ? null : [...binds, ...more], Mounts: named.length === 0 ? null : named, VolumesFrom: null };
}

const trimmed = (path: string): string => (path.length > 1 ? path.replace(/\/+$/, '') : path);
/** As docker shows what has no name. */
const short = (name: string): string => (isAnonymous(name) ? name.slice(0, 12) : name);
const refuse = (code: string, message: string, hint: string): CoatError => new CoatError(code, message, { hint });
