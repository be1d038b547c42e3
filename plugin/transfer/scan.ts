import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';

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

/**
 * Looks at every file below `root`. Files that vanish meanwhile are left out.
 */
export async function scan(root: string): Promise<Scan> {
  const found = new Map<string, Look>();
  const walk = async (relative: string): Promise<void> => {
    const directory = await opendir(join(root, relative));
    for await (const entry of directory) {
      const path = relative === '' ? entry.name : `${relative}/${entry.name}`;
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
