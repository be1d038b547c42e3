import { mkdir, rmdir } from 'node:fs/promises';
import { codeOf } from '../../driver/host/errors.ts';
import type { HostSide } from './host.ts';

/**
 * A directory in the host's memory: a tmpfs of its own, so that no other tmpfs's size is a limit and one
 * unmount gives everything back. Holds what a container's memory becomes on its way.
 *
 * @param path on the host, not there yet
 * @param size upper limit in bytes; memory is used as it fills
 */
export async function mountMemory(host: HostSide, path: string, size: number): Promise<void> {
  await mkdir(host.path(path), { recursive: true, mode: 0o700 });
  const mount = (options: string) => host.run(['mount', '-t', 'tmpfs', '-o', `size=${Math.ceil(size / 1024)}k,mode=0700${options}`, 'coat', path]);
  // huge pages are written and read three times as fast, and where none is free the kernel takes small ones
  // (kernel Documentation/admin-guide/mm/transhuge.rst); one built without them refuses the option
  await mount(',huge=always').catch(() => mount(''));
}

/** A directory that is not there, or not mounted, is fine. */
export async function unmountMemory(host: HostSide, path: string): Promise<void> {
  await host.run(['umount', '--lazy', '--quiet', path], { okCodes: [0, 1, 32] });
  await rmdir(host.path(path)).catch((error: unknown) => {
    if (codeOf(error) !== 'ENOENT') throw error;
  });
}
