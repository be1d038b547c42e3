import { join } from 'node:path';

/** Where labs keep what must survive a host's death; one directory per lab. */
export const STATE = process.env['COAT_LAB_STATE'] ?? '/var/lib/coat-lab';

/** Where root file systems and images are kept between labs; made anew when they are missing. */
export const CACHE = process.env['COAT_LAB_CACHE'] ?? '/var/cache/coat-lab';

/** The shell scripts that make a host out of namespaces. */
export const SCRIPTS = join(import.meta.dirname, 'host');

/** Where `ip netns` keeps its names. */
export const NETNS = '/run/netns';

/** The files of one lab. Its locks lie outside of its directory, so that they can be had before and after; `tests` is that of the tests that use it. */
export const labPlaces = (name: string) => {
  const base = join(STATE, name);
  return { base, lock: `${base}.lock`, tests: `${base}.tests.lock`, record: join(base, 'lab.json'), shared: join(base, 'shared'), host: (host: string) => join(base, host) };
};

/** The host that exists only while a seed is made (see images/seed.ts). */
export const SEED_HOST = 'seed';

/** The network namespace of a host, or of the lab's switch. */
export const netnsName = (lab: string, host: string): string => `coat-${lab}-${host}`;

/** True for the network namespaces of this lab, and not for those of a lab whose name starts alike. */
export function isNetnsOf(lab: string, netns: string): boolean {
  const prefix = `coat-${lab}-`;
  return netns.startsWith(prefix) && /^(switch|seed|h\d+)$/.test(netns.slice(prefix.length));
}
