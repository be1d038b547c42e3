import { rmSync } from 'node:fs';
import { mkdir, open, rmdir, symlink } from 'node:fs/promises';
import os from 'node:os';
import { codeOf } from '../../driver/host/errors.ts';
import type { HostSide } from './host.ts';

/** From how much memory on a container's pages go into huge pages, bytes. */
const HUGE_FROM = 64 << 20;
/** Room for CRIU's other images, bytes. */
const IMAGES_ROOM = 512 << 20;
/** As many of CRIU's files of pages may be huge: one for each process, the first processes first. */
const HUGE_FILES = 16;

/**
 * A directory in the host's memory: a tmpfs of its own, so that no other tmpfs's size is a limit and one
 * unmount gives everything back. Holds what a container's memory becomes on its way. Below it is {@link PAGES}, for large files.
 *
 * @param path on the host, not there yet
 * @param memory of the container, in bytes. There is room for it twice; memory is used as it fills
 * @param ahead memory that comes ahead of it, in bytes
 */
export async function mountMemory(host: HostSide, path: string, memory: number, ahead = 0): Promise<void> {
  const size = `size=${Math.ceil((memory * 2 + ahead * 2 + IMAGES_ROOM) / 1024)}k,mode=0700`;
  const pages = `${path}/${PAGES}`;
  const mount = (options: string, where: string) => host.run(['mount', '-t', 'tmpfs', '-o', options, 'coat', where]);
  await mkdir(host.path(path), { recursive: true, mode: 0o700 });
  await mount(size, path);
  await mkdir(host.path(pages));
  // Huge pages are written and read three times as fast, and where none is free the kernel takes small ones (kernel
  // Documentation/admin-guide/mm/transhuge.rst); one built without them refuses the option. A small file would take 2 MiB all the
  // same, which to clear costs up to 5 ms, and CRIU makes forty.
  if (memory >= HUGE_FROM) await mount(`${size},huge=always`, pages).catch(() => undefined);
}

/** Where large files go. */
export const PAGES = 'pages';

/** Makes CRIU write its pages into {@link PAGES}: through links that wait for it. */
export async function linkPages(host: HostSide, path: string, memory: number): Promise<void> {
  if (memory < HUGE_FROM) return;
  for (let id = 1; id <= HUGE_FILES; id++) await symlink(`../${PAGES}/pages-${id}.img`, host.path(`${path}/images/pages-${id}.img`));
}

/** A directory that is not there, or not mounted, is fine. */
export async function unmountMemory(host: HostSide, path: string): Promise<void> {
  await host.run(['umount', '--lazy', '--quiet', path], { okCodes: [0, 1, 32] });
  await rmdir(host.path(path)).catch((error: unknown) => {
    if (codeOf(error) !== 'ENOENT') throw error;
  });
}

/** Written at once, bytes. */
const STRETCH = 4 << 20;

/**
 * Takes memory from the kernel ahead of the blackout, as a file of zeroes to be written over or removed then. A virtual
 * machine's free memory may be its hypervisor's (free page reporting, kernel Documentation/mm/free_page_reporting.rst): the
 * first touch of a page then costs thirty times as much as that of one freed a moment ago (measured: 275 MB in 690 ms
 * instead of 22).
 *
 * @param path on the host, below what {@link mountMemory} made
 * @param size in bytes; never more than a quarter of what is available, so that nothing else is pushed out
 */
export async function reserveMemory(host: HostSide, path: string, size: number): Promise<void> {
  const zeroes = Buffer.alloc(STRETCH);
  const file = await open(host.path(path), 'w', 0o600);
  try {
    // fallocate(2) would not do: the kernel leaves such pages untouched until they are read
    for (let missing = Math.min(size, os.freemem() / 4); missing > 0; missing -= STRETCH) await file.write(zeroes);
  } catch (error) {
    // a reserve is for speed; what is really needed says so itself
    if (codeOf(error) !== 'ENOSPC') throw error;
  } finally {
    await file.close();
  }
}

/** Gives reserved memory back, at once: it is freed when nobody has time to wait. */
export function releaseMemory(host: HostSide, path: string): void {
  rmSync(host.path(path), { force: true });
}
