import { list, type Kernel } from './kernel.ts';
import { familyOf } from '../ipam/address.ts';
import { HOST_PREFIX6, isBridge, isHostAddress } from '../overlay/names.ts';
import { routeKey, type Route } from '../overlay/state.ts';
import { listLinks } from './links.ts';

/**
 * The MTU of the way to an address: the route's own, where it has one (route mtu, or a learned path
 * MTU), else that of the interface it leaves by. Bytes.
 *
 * @returns undefined where there is no route
 */
export async function routeMtus(kernel: Kernel, addresses: readonly string[]): Promise<number[]> {
  const links = new Map((await listLinks(kernel)).map((link) => [link.ifname, link.mtu]));
  const mtus = await Promise.all(
    addresses.map(async (address) => {
      const routes = await list<{ dev?: string; metrics?: { mtu?: number }[] }>(kernel, ['ip', '-j', 'route', 'get', address]).catch(() => []);
      const [route] = routes;
      const metric = route?.metrics?.find(({ mtu }) => mtu !== undefined)?.mtu;
      return metric ?? (route?.dev === undefined ? undefined : links.get(route.dev));
    }),
  );
  return mtus.filter((mtu) => mtu !== undefined);
}

/** What the main table has routes to, as CIDRs, without the default route and our own networks. */
export async function destinations(kernel: Kernel): Promise<string[]> {
  const routes = await list<{ dst: string; dev?: string }>(kernel, ['ip', '-j', '-4', 'route', 'show', 'table', 'main']);
  const others = routes.filter(({ dst, dev }) => dst !== 'default' && !(dev !== undefined && isBridge(dev)));
  return [...new Set(others.map(({ dst }) => (dst.includes('/') ? dst : `${dst}/32`)))].sort();
}

/** The ways to other hosts through our bridges. */
export async function listRoutes(kernel: Kernel): Promise<Map<string, Route>> {
  const show = (...which: string[]): Promise<{ dst: string; dev?: string }[]> => list(kernel, ['ip', '-j', ...which] as [string, ...string[]]);
  const lines = await Promise.all([show('-4', 'route', 'show', 'table', 'main', 'scope', 'link'), show('-6', 'route', 'show', 'table', 'main', 'root', HOST_PREFIX6)]);
  const routes = lines.flat().flatMap(({ dst, dev }) => (dev !== undefined && isBridge(dev) && isHostAddress(dst) ? [{ dev, to: dst }] : []));
  return new Map(routes.map((route) => [routeKey(route), route]));
}

/** `ip` command. The metric tells the same way through two bridges apart: the number in the bridge's name. */
export const ensureRoute = ({ dev, to }: Route): string => `route replace ${prefix(to)} dev ${dev} scope link metric ${Number.parseInt(dev.slice(2), 16)}`;
export const removeRoute = ({ dev, to }: Route): string => `route del ${prefix(to)} dev ${dev}`;

const prefix = (address: string): string => `${address}/${familyOf(address) === 6 ? 128 : 32}`;
