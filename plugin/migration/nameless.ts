import { readdir, readlink, stat } from 'node:fs/promises';
import type { HostSide } from '../criu/host.ts';

/** Files that are open and have lost the name they were opened by. */
export interface Nameless {
  /** What those take that have no name at all, bytes; they go into the images. */
  bytes: number;
  /** One that still has another name, under which CRIU does not find it. */
  linked: string | undefined;
}

/** Files that are memory and no files: their content moves as memory does (memfd_create(2), shmat(2)). */
const MEMORY = /^\/(memfd:|SYSV|dev\/zero)/;

export async function namelessFiles(host: HostSide, pids: readonly number[]): Promise<Nameless> {
  const sizes = new Map<string, number>();
  let linked: string | undefined;
  await Promise.all(pids.map(async (pid) => {
    const directory = host.path(`/proc/${pid}/fd`);
    for (const fd of await readdir(directory).catch(() => [])) {
      const [, path] = /^(\/.*) \(deleted\)$/.exec(await readlink(`${directory}/${fd}`).catch(() => '')) ?? [];
      if (path === undefined || MEMORY.test(path)) continue;
      const look = await stat(`${directory}/${fd}`).catch(() => undefined);
      if (!look?.isFile()) continue;
      if (look.nlink > 0) linked = path;
      else sizes.set(`${look.dev} ${look.ino}`, look.size);
    }
  }));
  return { bytes: [...sizes.values()].reduce((sum, size) => sum + size, 0), linked };
}
