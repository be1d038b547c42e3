import { readFile, writeFile } from 'node:fs/promises';

/**
 * Machine-wide limits that several hosts on one kernel run into, and what they are raised to:
 * every engine watches files of its own, and CRIU's page transfer wants larger pipes than the
 * default, which only a privilege that a container's root lacks can exceed.
 */
const LEAST: Readonly<Record<string, number>> = {
  'fs/pipe-max-size': 64 << 20,
  'fs/inotify/max_user_instances': 1024,
  'fs/inotify/max_user_watches': 65_536,
};

/** Raises what is lower; it stays raised until the machine's next boot. */
export async function raiseLimits(): Promise<void> {
  for (const [name, least] of Object.entries(LEAST)) {
    const path = `/proc/sys/${name}`;
    if (Number(await readFile(path, 'utf8')) < least) await writeFile(path, String(least));
  }
}
