import { list, type Kernel } from './kernel.ts';

/** The fields we read of `ip -j -d address show`, ip-link(8) and ip-address(8). */
export interface Link {
  ifindex: number;
  ifname: string;
  flags: string[];
  mtu: number;
  master?: string;
  address?: string;
  linkinfo?: {
    info_kind?: string;
    info_data?: Record<string, unknown>;
    info_slave_data?: Record<string, unknown>;
  };
  addr_info?: { family: string; local: string; prefixlen: number; scope: string }[];
}

/** All interfaces with their addresses. */
export const listLinks = (kernel: Kernel): Promise<Link[]> => list<Link>(kernel, ['ip', '-j', '-d', 'address', 'show']);

export const isUp = (link: Link): boolean => link.flags.includes('UP');

/** Whether the other end is up as well. */
export const hasCarrier = (link: Link): boolean => link.flags.includes('LOWER_UP');

/** `ip` commands that remove an interface. Its entries, addresses and queues go with it. */
export const removeLink = (name: string): string[] => [`link del dev ${name}`];
