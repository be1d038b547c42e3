import { mkdir, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CoatError } from '../host/errors.ts';
import { removeIfThere } from '../host/files.ts';
import { until } from '../host/until.ts';
import { batch, type Kernel } from './kernel.ts';

/** Where named network namespaces are, in the host's own mount namespace. */
const DIRECTORY = '/run/coat/netns';

/** NSFS_MAGIC, linux/magic.h: what a bind mount of a namespace is. */
export const NSFS = 0x6e736673;

/** Marks the routes that {@link setUpInside} makes: their origin, rtnetlink(7) (free for whom it may concern, linux/rtnetlink.h), and a metric behind all others. */
const WAY_OUT = { proto: 203, metric: 1_000_000_000 };

export interface NetnsPlace {
  kernel: Kernel;
  /** The host's root directory as we see it: `/proc/1/root`, or '' when we are in it. */
  hostRoot: string;
}

/** Path of a named namespace as programs on the host open it. */
export const netnsPath = (name: string): string => join(DIRECTORY, checked(name));

/**
 * Makes a network namespace that stays, network_namespaces(7), and has nothing but `lo`, up. The
 * bind mount that keeps it must be made in the host's mount namespace, or no program of the host
 * would see it; unshare(1) does both at once.
 *
 * @returns its path as this process opens it
 */
export async function createNetns({ kernel, hostRoot }: NetnsPlace, name: string): Promise<string> {
  const path = netnsPath(name);
  const seen = hostRoot + path;
  await mkdir(dirname(seen), { recursive: true, mode: 0o755 });
  // a container on several networks arrives in one namespace; nothing can be written there any more then
  if ((await statfs(seen).catch(() => undefined))?.type === NSFS) return seen;
  await writeFile(seen, '', { flag: 'a' });
  await kernel.run([...inHost(hostRoot), 'unshare', `--net=${path}`, 'true']);
  await inNetns(kernel, seen, ['ip', 'link', 'set', 'lo', 'up']);
  return seen;
}

/** Removes the name; the namespace itself lives on while a process or socket is in it. */
export async function removeNetns({ kernel, hostRoot }: NetnsPlace, name: string): Promise<void> {
  const path = netnsPath(name);
  // 32: not mounted, umount(8)
  await kernel.run([...inHost(hostRoot), 'umount', '--lazy', path], { okCodes: [0, 1, 32] });
  await removeIfThere(hostRoot + path);
}

/**
 * Gives the interface inside its addresses and takes it up. Without an IPv6 address it has no IPv6 at all, as Docker does it.
 *
 * Nobody is asked whether another one has the same address (RFC 4862 §5.4): it is the container's, at its source still in use,
 * and until the answer is certain no socket could be bound to it.
 *
 * The ways out are there for what is restored, as a connection to an address of the world needs one. They are Docker's to make, but that may
 * be later; so they do not get in the way of Docker's, and go with {@link forgetWaysOut}.
 */
export async function setUpInside(kernel: Kernel, hostRoot: string, netns: string, { name, address, address6, gateways }: Inside): Promise<void> {
  const set = (setting: string, value: string, okCodes = [0]): Promise<unknown> =>
    inNetns(kernel, netns, ['tee', `${hostRoot}/proc/sys/net/ipv6/conf/${name}/${setting}`], { input: value, okCodes });
  // a kernel without IPv6 has no such file, and nothing to switch off
  if (address6 === undefined) await set('disable_ipv6', '1', [0, 1]);
  else {
    await set('disable_ipv6', '0');
    await set('accept_dad', '0');
  }
  const second = address6 === undefined ? '' : `address add ${address6} dev ${name} nodad\n`;
  const out = gateways.map((gateway) => `route append default via ${gateway} dev ${name} proto ${WAY_OUT.proto} metric ${WAY_OUT.metric}\n`).join('');
  await inNetns(kernel, netns, ['ip', '-force', '-batch', '-'], { input: `address add ${address} broadcast + dev ${name}\n${second}link set dev ${name} up\n${out}` });
}

/** Takes back the ways out that {@link setUpInside} has made, once Docker's are there. */
export async function forgetWaysOut({ kernel, hostRoot }: NetnsPlace, name: string): Promise<void> {
  const seen = hostRoot + netnsPath(name);
  for (const family of ['-4', '-6']) await inNetns(kernel, seen, ['ip', family, 'route', 'flush', 'proto', String(WAY_OUT.proto)], { okCodes: [0, 1, 2] });
}

/**
 * Has all that an interface inside receives handed on by one processor, or by whichever has it (kernel Documentation/networking/scaling.rst, RPS).
 *
 * A queue that was held is emptied by turns: by the processor that opens it, and by those that have new frames for it. What one of them has taken
 * out, and not handed on yet, is overtaken by what the next takes (net/core/dev.c, netif_rx: each has a backlog of its own).
 *
 * sysfs shows the interfaces of the namespace it is mounted from, so it is mounted anew, for this one program.
 */
export async function receiveByOne(kernel: Kernel, netns: string, name: string, one: boolean): Promise<void> {
  await inNetns(kernel, netns, ['unshare', '--mount', 'sh', '-c', 'mount -t sysfs sysfs /sys && echo "$2" >"/sys/class/net/$1/queues/rx-0/rps_cpus"', 'sh', name, one ? FIRST_PROCESSOR : '0']);
}

/** Of a container, without `lo`; none where the namespace is gone. */
export async function interfacesOf(kernel: Kernel, netns: string): Promise<string[]> {
  const { stdout } = await inNetns(kernel, netns, ['ip', '-oneline', 'link', 'show', 'type', 'veth'], { okCodes: [0, 1] });
  return stdout.split('\n').flatMap((line) => /^\d+: ([^:@]+)/.exec(line)?.[1] ?? []);
}

/** A mask. */
const FIRST_PROCESSOR = '1';

/** An interface inside a namespace, and its addresses with their prefix lengths. */
interface Inside {
  name: string;
  address: string;
  address6?: string | undefined;
  /** What lies beyond is reached through these. */
  gateways: readonly string[];
}

/** Waits until an interface of ours has a carrier: until the other end is up as well. */
export async function takeUp(kernel: Kernel, port: string): Promise<void> {
  await batch(kernel, 'ip', [`link set dev ${port} up`]);
  await until(`${port} to come up`, async () => (await kernel.run(['ip', 'link', 'show', 'dev', port])).stdout.includes('LOWER_UP'), { timeout: 3_000 });
}

const inNetns = (kernel: Kernel, path: string, argv: string[], options?: Parameters<Kernel['run']>[1]) =>
  kernel.run(['nsenter', `--net=${path}`, '--', ...argv], options);

/** `/proc/1/root` belongs to the process whose mount namespace is the host's. */
function inHost(hostRoot: string): [string, ...string[]] {
  return hostRoot === '' ? ['env'] : ['nsenter', `--mount=${join(dirname(hostRoot), 'ns/mnt')}`, '--'];
}

function checked(name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/.test(name)) throw new CoatError('bad-name', `"${name}" cannot be the name of a network namespace`);
  return name;
}
