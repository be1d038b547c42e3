/**
 * What the kernel holds for us, said once for what should be and for what is. Names are interface
 * names, MACs lower case, sizes bytes.
 */
export interface Bridge {
  name: string;
  mac: string;
  mtu: number;
  /** The gateway, `10.42.0.1/24`; absent on an internal network. */
  address: string | undefined;
  /** The same of IPv6, `fd00:1::1/64`; absent where the network has none. */
  address6: string | undefined;
  up: boolean;
}

export interface Vxlan {
  name: string;
  /** Its bridge. */
  master: string | undefined;
  vni: number;
  /** UDP. */
  port: number;
  /** Underlay address the tunnels begin at. */
  local: string;
  mtu: number;
  up: boolean;
  /** Whether device or bridge learn addresses from frames: never, for all of them are in the claims. */
  learning: boolean;
  /** Whether the bridge answers ARP and neighbour solicitations for known endpoints instead of asking through the tunnels. */
  suppress: boolean;
}

/** Our end of a local endpoint's veth. */
export interface Port {
  name: string;
  master: string | undefined;
  mtu: number;
  up: boolean;
  learning: boolean;
  /** `disabled` neither receives nor sends: the endpoint is cut off. */
  state: 'forwarding' | 'disabled';
}

/** VXLAN forwarding: frames for `mac` go to the host at `dst`. {@link EVERYONE} is for broadcast and the unknown. */
export interface Tunnel {
  dev: string;
  mac: string;
  dst: string;
}

/** Bridge forwarding: frames for `mac` leave through `dev`. */
export interface Forward {
  bridge: string;
  mac: string;
  dev: string;
}

/** ARP, and in IPv6 neighbour discovery: `ip` is at `mac`, on the bridge `dev`. */
export interface Neighbour {
  dev: string;
  ip: string;
  mac: string;
}

/** A way to another host itself through a bridge, `to` is its `hostAddress` (names.ts): for what must not go by the routes of this host. */
export interface Route {
  dev: string;
  to: string;
}

export interface State {
  bridges: Map<string, Bridge>;
  vxlans: Map<string, Vxlan>;
  ports: Map<string, Port>;
  tunnels: Map<string, Tunnel>;
  forwards: Map<string, Forward>;
  neighbours: Map<string, Neighbour>;
  routes: Map<string, Route>;
}

export const EVERYONE = '00:00:00:00:00:00';

/** A device has one destination per MAC, but any number for {@link EVERYONE}. */
export const tunnelKey = (entry: Tunnel): string => `${entry.dev} ${entry.mac}${entry.mac === EVERYONE ? ` ${entry.dst}` : ''}`;
export const forwardKey = (entry: Forward): string => `${entry.bridge} ${entry.mac}`;
export const routeKey = (entry: Route): string => `${entry.dev} ${entry.to}`;
export const neighbourKey = (entry: Neighbour): string => `${entry.dev} ${entry.ip}`;

export const emptyState = (): State => ({
  bridges: new Map(),
  vxlans: new Map(),
  ports: new Map(),
  tunnels: new Map(),
  forwards: new Map(),
  neighbours: new Map(),
  routes: new Map(),
});
