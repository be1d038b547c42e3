import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../driver/host/errors.ts';

/** What a file looked like: any change of its content or metadata changes its ctime (inode(7)). */
interface Look {
  ctimeNs: bigint;
  /** Inode number and time of birth: a number is given again at once (statx(2)). */
  identity: string;
  size: bigint;
  /** What it takes on the disk, bytes. */
  room: number;
  kind: 'file' | 'directory' | 'whiteout' | 'socket';
  /** Of the directory in which CRIU works: its mode and owner, and whether what changed it last was an entry that came or went. */
  place?: { own: string; entries: boolean };
}

/** Everything below a directory, by path relative to it; of a plain one itself too, as `.`. */
export type Scan = ReadonlyMap<string, Look>;

/** Where CRIU mounts a file system of the container anew to see what is below its mounts, while it dumps (criu/mount.c, get_clean_mnt). */
const CRIUS = /^(tmp\/)?cr-tmpfs\.\w{6}$/;
/** Where that is, which it changes. */
const CRIUS_PLACE = 'tmp';

/**
 * Looks at every file below `root`. What vanishes meanwhile is left out, and what CRIU makes there for a moment.
 *
 * @param what the upper directory of an overlayfs, or a directory whose files are what they look like
 */
export async function scan(root: string, what: 'layer' | 'plain' = 'layer'): Promise<Scan> {
  const found = new Map<string, Look>();
  const look = async (path: string): Promise<Look | undefined> => {
    const stats = await lstat(join(root, path), { bigint: true }).catch(() => undefined);
    if (!stats) return undefined;
    // overlayfs marks a deleted file with a character device 0:0 (kernel Documentation/filesystems/overlayfs.rst)
    const whiteout = what === 'layer' && stats.isCharacterDevice() && stats.rdev === 0n;
    const kind = stats.isDirectory() ? 'directory' : whiteout ? 'whiteout' : stats.isSocket() ? 'socket' : 'file';
    // an entry that comes or goes sets both times, a change of the directory itself only the one (inode(7))
    const place = what === 'layer' && path === CRIUS_PLACE && kind === 'directory' ? { place: { own: `${stats.mode} ${stats.uid} ${stats.gid}`, entries: stats.mtimeNs === stats.ctimeNs } } : {};
    // st_blocks: 512 bytes each, whatever the file system's own are (stat(2))
    return { ...place, ctimeNs: stats.ctimeNs, identity: `${stats.ino} ${stats.birthtimeNs}`, size: stats.size, room: Number(stats.blocks) * 512, kind };
  };
  const top = what === 'plain' ? await look('.') : undefined;
  if (top) found.set('.', top);
  const walk = async (relative: string): Promise<void> => {
    for (const name of await entriesOf(join(root, relative))) {
      const path = relative === '' ? name : `${relative}/${name}`;
      if (CRIUS.test(path)) continue;
      const seen = await look(path);
      if (!seen) continue;
      found.set(path, seen);
      if (seen.kind === 'directory') await walk(path);
    }
  };
  await walk('');
  return found;
}

/** @throws what readdir throws, but not for a directory that is not there any more, or not one */
async function entriesOf(directory: string): Promise<string[]> {
  return readdir(directory).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return [];
    throw error;
  });
}

/** How to make a tree that was copied at `before` look like `after`. */
export interface Difference {
  /** Paths to remove first, with all that is below them. */
  remove: string[];
  /** Paths to copy over, parents before children. */
  copy: string[];
  /** Those of them that are directories. */
  directories: string[];
}

/**
 * What changed between two scans of a container's writable layer, or of a volume.
 *
 * @param written paths whose content may have changed whatever their times say
 */
export function difference(before: Scan, after: Scan, written: ReadonlySet<string> = new Set()): Difference {
  const remove: string[] = [];
  const copy: string[] = [];
  for (const path of before.keys()) if (!after.has(path)) remove.push(path);
  for (const [path, now] of after) {
    const was = before.get(path);
    if (was && !written.has(path) && was.ctimeNs === now.ctimeNs && was.identity === now.identity && was.size === now.size) continue;
    if (was && path === CRIUS_PLACE && onlyCriuWasIn(before, after)) continue;
    if (now.kind === 'whiteout') {
      if (was?.kind !== 'whiteout') remove.push(path);
    } else if (now.kind !== 'socket') {
      if (was && was.kind !== now.kind) remove.push(path);
      copy.push(path);
    }
  }
  return { remove: outermost(remove), copy, directories: copy.filter((path) => after.get(path)?.kind === 'directory') };
}

/** Whether the directory in which CRIU works has all that it had before, and nothing else. */
function onlyCriuWasIn(before: Scan, after: Scan): boolean {
  const [was, now] = [before.get(CRIUS_PLACE), after.get(CRIUS_PLACE)];
  if (!now?.place?.entries || now.place.own !== was?.place?.own || now.identity !== was.identity) return false;
  const entries = (scan: Scan): string[] => [...scan].filter(([path]) => /^tmp\/[^/]+$/.test(path)).map(([path, { identity }]) => `${path} ${identity}`).sort();
  return entries(before).join('\n') === entries(after).join('\n');
}

/** Drops every path that lies below another of the list. */
function outermost(paths: string[]): string[] {
  const all = new Set(paths);
  return paths.filter((path) => {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) if (all.has(path.slice(0, at))) return false;
    return true;
  });
}
