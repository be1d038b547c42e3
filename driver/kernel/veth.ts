import type { Port } from '../overlay/state.ts';
import type { Kernel } from './kernel.ts';

export interface Veth {
  /** Our end. */
  port: string;
  mtu: number;
  inner: {
    /** Name of the other end. */
    name: string;
    mac: string;
    /** Path of the namespace it is born in; by default it is here, for Docker to take it. */
    netns?: string;
    /** Interface index it should have in that namespace; it must be free. */
    index?: number;
  };
}

/** Makes a veth pair, veth(4). Our end gets no address of its own, not even a link-local one. */
export async function createVeth(kernel: Kernel, { port, mtu, inner }: Veth): Promise<void> {
  try {
    if (inner.netns === undefined && kernel.netlink) return await kernel.netlink.createVeth({ port, mtu, inner });
  } catch {
    // ip(8) says better what is wrong; of what was made, nothing must be in its way
    await removeInterface(kernel, port);
  }
  const ours = ['name', port, 'mtu', String(mtu)];
  const theirs = ['name', inner.name, 'mtu', String(mtu), 'address', inner.mac];
  if (inner.netns === undefined) await kernel.run(['ip', 'link', 'add', ...ours, 'type', 'veth', 'peer', ...theirs]);
  else {
    // made from the far end: of a pair, ip(8) can choose the index only of the end it is asked for
    const index = inner.index === undefined ? [] : ['index', String(inner.index)];
    const enter = ['nsenter', `--net=${inner.netns}`, '--'] as const;
    await kernel.run([...enter, 'ip', 'link', 'add', ...theirs, ...index, 'type', 'veth', 'peer', ...ours, 'netns', kernel.netns]);
  }
  await kernel.run(['ip', 'link', 'set', 'dev', port, 'addrgenmode', 'none']);
}

/** Our end as {@link createVeth} leaves it, in the words of port.ts. */
export const freshPort = (name: string, mtu: number): Port => ({ name, master: undefined, mtu, up: false, learning: false, state: 'forwarding' });

export async function linkExists(kernel: Kernel, name: string): Promise<boolean> {
  try {
    if (kernel.netlink) return await kernel.netlink.exists(name);
  } catch {
    // where netlink does not work
  }
  const { code } = await kernel.run(['ip', 'link', 'show', 'dev', name], { okCodes: [0, 1] });
  return code === 0;
}

/** Removes an interface; one that is not there is fine. */
export async function removeInterface(kernel: Kernel, name: string): Promise<void> {
  await kernel.run(['ip', 'link', 'del', 'dev', name], { okCodes: [0, 1] });
}
