import { mkdir, writeFile } from 'node:fs/promises';
import type { HostSide } from './host.ts';
import type { Criu } from './program.ts';

/** Where the host's programs are; the plugin's own PATH need not be the host's. */
export const HOST_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Makes runc find the CRIU of our choice ({@link Criu}) as `criu` in its PATH, which it runs before other work: what CRIU does
 * from the freeze on, a peer waits for. And makes that CRIU find our {@link TAR}.
 *
 * @param directory on the host
 * @returns PATH for runc
 */
export async function criuOnPath(host: HostSide, directory: string, { command, environment }: Criu): Promise<string> {
  const bin = `${directory}/bin`;
  await mkdir(host.path(bin));
  const executable = { mode: 0o755 };
  await writeFile(host.path(`${bin}/criu`), `#!/bin/sh\nPATH=${bin}:${HOST_PATH}\n${environment}\nexec nice -n -15 ${command} "$@"\n`, executable);
  await writeFile(host.path(`${bin}/tar`), `#!/bin/sh\nPATH=${HOST_PATH} tars=${directory}\n${TAR}`, executable);
  return `${bin}:${HOST_PATH}`;
}

/**
 * CRIU takes the contents of each tmpfs along with tar(1), one after the other and through gzip (criu/filesystems.c, tmpfs_dump and
 * tmpfs_restore). A container has five of them or more, nearly empty all, and three programs for each made half of a
 * small dump and of a small restore. So there is no gzip; an empty tmpfs that is read-only, as those that hide a part of /proc or
 * /sys are, is an empty image; and while a dump goes on its archives are made beside it, as nothing changes in a frozen container.
 * Their exit codes come out of the pipe `tars`, and `started` has a line for each: `dumpActions` waits for them.
 */
const TAR = `verb=$1
shift
[ "$1" = --gzip ] && shift
if [ $verb = --create ]; then
	if [ ! -w /proc/self/fd/0 ]; then
		empty=yes
		for file in /proc/self/fd/0/* /proc/self/fd/0/.[!.]* /proc/self/fd/0/..?*; do
			if [ -e "$file" ] || [ -L "$file" ]; then empty=no; break; fi
		done
		[ $empty = no ] || exit 0
	fi
	[ -p "$tars/tars" ] || exec tar $verb "$@"
	echo >>"$tars/started"
	# a shell gives what it does beside itself an empty stdin
	exec 3<&0
	{ tar $verb "$@" <&3; echo $? 1<>"$tars/tars"; } &
elif [ -s /proc/self/fd/0 ]; then
	exec tar $verb "$@"
fi
`;
