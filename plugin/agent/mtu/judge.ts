import { familyOf } from '../../../driver/ipam/address.ts';
import { VXLAN_OVERHEAD } from '../../../driver/overlay/mtu.ts';
import type { Finding, Status } from '../api.ts';

/** What a path is judged by: networks as people call them, with the MTU inside, bytes. */
export type Sends = readonly { name: string; mtu: number }[];

/**
 * The paths that carry less than the networks send. The tunnels' packets may be fragmented, so that what is wrong shows only where a hop drops
 * instead: small packets pass, large ones do not, and connections hang.
 */
export function narrowPaths(hosts: readonly Pick<Status['hosts'][number], 'name' | 'address' | 'carries'>[], networks: Sends): Finding[] {
  return hosts.flatMap(({ name, address, carries }) => {
    if (carries === undefined) return [];
    const overhead = VXLAN_OVERHEAD[familyOf(address)];
    const tooLarge = networks.filter(({ mtu }) => mtu + overhead > carries).sort((a, b) => b.mtu - a.mtu);
    const [largest] = tooLarge;
    if (largest === undefined) return [];
    const who = tooLarge.length === 1 ? `network ${largest.name} sends` : `networks ${tooLarge.map((network) => network.name).join(', ')} send`;
    return {
      check: 'MTU',
      state: 'problem' as const,
      found: `the path to ${name} carries ${carries} bytes, ${who} up to ${largest.mtu + overhead} (${largest.mtu} and ${overhead} of VXLAN): connections may hang`,
      remedy: `raise the MTU of the link between the hosts that has become smaller, or make the network anew with -o mtu=${carries - overhead}`,
    };
  });
}
