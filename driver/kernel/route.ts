import { list, type Kernel } from './kernel.ts';
import { isBridge } from '../overlay/names.ts';
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
