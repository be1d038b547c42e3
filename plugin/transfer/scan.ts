import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../driver/host/errors.ts';

/** What a file looked like: any change of its content or metadata changes its ctime (inode(7)). */
interface Look {
  ctimeNs: bigint;
  /** Inode number and time of birth: a number is given again at once (statx(2)). */
  identity: string;
  size: bigint;
  kind: 'file' | 'directory' | 'whiteout' | 'socket';
}

/** Everything below a directory, by path relative to it. */
export type Scan = ReadonlyMap<string, Look>;

/** Where CRIU mounts a file system of the container anew to see what is below its mounts, while it dumps (criu/mount.c, get_clean_mnt). */
const CRIUS = /^(tmp\/)?cr-tmpfs\.\w{6}$/;

/**
 * Looks at every file below `root`. What vanishes meanwhile is left out, and what CRIU makes there for a moment.
 */
export async function scan(root: string): Promise<Scan> {
  const found = new Map<string, Look>();
  const walk = async (relative: string): Promise<void> => {
    for (const name of await entriesOf(join(root, relative))) {
      const path = relative === '' ? name : `${relative}/${name}`;
      if (CRIUS.test(path)) continue;
      const stats = await lstat(join(root, path), { bigint: true }).catch(() => undefined);
      if (!stats) continue;
      // overlayfs marks a deleted file with a character device 0:0 (kernel Documentation/filesystems/overlayfs.rst)
      const kind = stats.isDirectory() ? 'directory' : stats.isCharacterDevice() && stats.rdev === 0n ? 'whiteout' : stats.isSocket() ? 'socket' : 'file';
      found.set(path, { ctimeNs: stats.ctimeNs, identity: `${stats.ino} ${stats.birthtimeNs}`, size: stats.size, kind });
      if (kind === 'directory') await walk(path);
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

/** What changed between two scans of a container's writable layer. */
export function difference(before: Scan, after: Scan): Difference {
  const remove: string[] = [];
  const copy: string[] = [];
  for (const path of before.keys()) if (!after.has(path)) remove.push(path);
  for (const [path, now] of after) {
    const was = before.get(path);
    if (was && was.ctimeNs === now.ctimeNs && was.identity === now.identity && was.size === now.size) continue;
    if (now.kind === 'whiteout') {
      if (was?.kind !== 'whiteout') remove.push(path);
    } else if (now.kind !== 'socket') {
      if (was && was.kind !== now.kind) remove.push(path);
      copy.push(path);
    }
  }
  return { remove: outermost(remove), copy, directories: copy.filter((path) => after.get(path)?.kind === 'directory') };
}

/** Drops every path that lies below another of the list. */
function outermost(paths: string[]): string[] {
  const all = new Set(paths);
  return paths.filter((path) => {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) if (all.has(path.slice(0, at))) return false;
    return true;
  });
}
