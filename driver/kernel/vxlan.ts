import type { Vxlan } from '../overlay/state.ts';
import { isVxlan } from '../overlay/names.ts';
import { mustReplace } from '../overlay/diff.ts';
import { isUp, type Link } from './links.ts';
import { portFlags } from './port.ts';

/** Our vxlan devices among the interfaces. */
export function listVxlans(links: readonly Link[]): Vxlan[] {
  return links.filter((link) => isVxlan(link.ifname) && link.linkinfo?.info_kind === 'vxlan').map((link) => {
    const data = link.linkinfo?.info_data ?? {};
    const slave = link.linkinfo?.info_slave_data ?? {};
    return {
      name: link.ifname,
      master: link.master,
      vni: Number(data.id),
      port: Number(data.port),
      local: String(data.local ?? data.local6),
      mtu: link.mtu,
      up: isUp(link),
      learning: data.learning === true || slave.learning === true,
      suppress: slave.neigh_suppress === true,
    };
  });
}

/** Commands for `ip`, then for `bridge`, that make a vxlan device what it should be. */
export function ensureVxlan(want: Vxlan, have: Vxlan | undefined): { ip: string[]; bridge: string[] } {
  const { name, master, mtu } = want;
  const ip: string[] = [];
  const remake = have !== undefined && mustReplace(want, have) !== '';
  const old = remake ? undefined : have;
  if (remake) ip.push(`link del dev ${name}`);
  if (!old) {
    ip.push(`link add dev ${name} mtu ${mtu} type vxlan id ${want.vni} dstport ${want.port} local ${want.local} nolearning`);
    ip.push(`link set dev ${name} addrgenmode none`);
  } else if (old.mtu !== mtu) ip.push(`link set dev ${name} mtu ${mtu}`);
  if (old && old.learning) ip.push(`link set dev ${name} type vxlan nolearning`);
  if (old?.master !== master) ip.push(`link set dev ${name} master ${master}`);
  if (!old?.up) ip.push(`link set dev ${name} up`);
  const flagged = old && old.master === master && !old.learning && old.suppress;
  return { ip, bridge: flagged ? [] : [`${portFlags(name)} neigh_suppress on`] };
}
