import type { Port } from '../overlay/state.ts';
import { isPort } from '../overlay/names.ts';
import { hasCarrier, isUp, type Link } from './links.ts';

/** Our ends of containers' veths among the interfaces. */
export function listPorts(links: readonly Link[]): Port[] {
  return links.filter((link) => isPort(link.ifname)).map((link) => {
    const slave = link.linkinfo?.info_slave_data ?? {};
    return {
      name: link.ifname,
      master: link.master,
      mtu: link.mtu,
      up: isUp(link),
      learning: slave.learning === true,
      // a bridge disables a port whose other end is down, and refuses to be told otherwise
      state: slave.state === 'disabled' && hasCarrier(link) ? 'disabled' : 'forwarding',
    };
  });
}

/**
 * Commands for `ip`, then for `bridge`, that make a port what it should be. A port cannot be made
 * here: its other end is in a container.
 */
export function ensurePort(want: Port, have: Port): { ip: string[]; bridge: string[] } {
  const { name, mtu, master } = want;
  const ip: string[] = [];
  if (have.mtu !== mtu) ip.push(`link set dev ${name} mtu ${mtu}`);
  if (have.master !== master) ip.push(`link set dev ${name} master ${master}`);
  if (!have.up) ip.push(`link set dev ${name} up`);
  const fresh = have.master !== master || !have.up;
  const bridge = fresh || have.learning ? [portFlags(name)] : [];
  // joining a bridge and coming up set the state to forwarding
  if (want.state !== have.state || (fresh && want.state === 'disabled')) bridge.push(`link set dev ${name} state ${stateNumber[want.state]}`);
  return { ip, bridge };
}

/** `bridge` command with the flags of every port of ours, bridge(8). Moved addresses come from the claims alone. */
export const portFlags = (name: string): string => `link set dev ${name} learning off`;

/** BR_STATE_DISABLED and BR_STATE_FORWARDING, linux/if_bridge.h. */
const stateNumber = { disabled: 0, forwarding: 3 } as const;
