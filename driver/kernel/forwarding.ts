import type { Family } from '../ipam/address.ts';
import { list, type Kernel } from './kernel.ts';

/** A plugin's own /proc/sys is read-only, the host's is not; below `net` it shows the network namespace of who looks. */
const settings = (hostRoot: string, family: Family): string => `${hostRoot}/proc/sys/net/ipv${family}`;

const SWITCH: Record<Family, string> = { 4: 'ip_forward', 6: 'conf/all/forwarding' };

/** Lets the kernel forward between interfaces, ip-sysctl: without it a gateway is none. */
export async function enableForwarding(kernel: Kernel, hostRoot: string, family: Family): Promise<void> {
  const { stdout } = await kernel.run(['cat', `/proc/sys/net/ipv${family}/${SWITCH[family]}`]);
  if (stdout.trim() === '1') return;
  if (family === 6) await keepAdvertised(kernel, hostRoot);
  await kernel.run(['tee', `${settings(hostRoot, family)}/${SWITCH[family]}`], { input: '1' });
}

/**
 * A host that forwards IPv6 does not listen to routers any more, and would lose its own default route with its lifetime. Where
 * it has one from a router, it goes on listening (ip-sysctl, accept_ra: 2).
 */
async function keepAdvertised(kernel: Kernel, hostRoot: string): Promise<void> {
  const routes = await list<{ dev?: string }>(kernel, ['ip', '-j', '-6', 'route', 'show', 'default', 'proto', 'ra']);
  for (const dev of new Set(routes.flatMap((route) => route.dev ?? []))) {
    await kernel.run(['tee', `${settings(hostRoot, 6)}/conf/${dev}/accept_ra`], { input: '2' });
  }
}

/** Switches IPv6 on for an interface; a host may have it off for all that come (`conf.default.disable_ipv6`). */
export async function enableIpv6(kernel: Kernel, hostRoot: string, name: string): Promise<void> {
  await kernel.run(['tee', `${settings(hostRoot, 6)}/conf/${name}/disable_ipv6`], { input: '0' });
}
