import { addressesOf, targetOf, type Claim, type Host, type Network } from './records.ts';
import { NOTHING_PUBLISHED, type Publications } from '../publish/plan.ts';
import { bridgeName, gatewayMac, hostAddress, hostMac, portName, vxlanName } from './names.ts';
import { familyOf, lengthOf, type Family } from '../ipam/address.ts';
import { isFlooded } from './options.ts';
import { EVERYONE, emptyState, forwardKey, neighbourKey, routeKey, tunnelKey, type State } from './state.ts';

/** A container's place on this host, plumbed or about to be. */
export interface Attachment {
  network: Network;
  ip: string;
  ip6?: string | undefined;
  mac: string;
  /** Middle of its port's name, see names.ts. */
  link: string;
  cut: boolean;
  /** Whether the port may be connected: not before its hold is closed. */
  attached: boolean;
  /** Whether it takes frames although the records still say that it is elsewhere; they are held. */
  accepting: boolean;
}

export interface Self {
  host: string;
  /** Underlay address. */
  address: string;
  vxlanPort: number;
}

export interface Records {
  hosts: ReadonlyMap<string, Host>;
  claims: ReadonlyMap<string, Claim>;
}

export interface Plan {
  state: State;
  /** Ports that exist for a reason but are not to be touched yet. */
  untouched: Set<string>;
  /** Networks that are alive on this host. */
  networks: Network[];
  /** Underlay addresses of all hosts: nobody else may send through the tunnels. */
  underlay: string[];
  published: Publications;
}

/**
 * What the kernel of this host should hold. A network that has no container here needs nothing here;
 * one that has gets a bridge, a vxlan device, and three entries for each claim (FRR, EVPN: `bridge
 * fdb` in the device, `bridge fdb` in the bridge, and a neighbour, which ARP suppression answers from).
 * A network is also alive where connections to its containers come in.
 *
 * @param flood whether the entries by which a frame goes to all hosts are wanted too
 */
export function plan(records: Records, attachments: readonly Attachment[], self: Self, published = NOTHING_PUBLISHED, flood = true): Plan {
  const state = emptyState();
  const networks = new Map([...published.mappings, ...attachments].map(({ network }) => [network.key, network]));
  for (const network of networks.values()) {
    planDevices(state, network, self);
    if (flood && isFlooded(network.options)) planFlood(state, network, records.hosts, self);
  }

  const untouched = new Set<string>();
  const local = new Map<string, Attachment>();
  for (const attachment of attachments) {
    local.set(`${attachment.network.key}/${attachment.ip}`, attachment);
    if (attachment.attached) planPort(state, attachment);
    else untouched.add(portName(attachment.link));
  }

  const here = new Set<string>();
  for (const [key, attachment] of local) {
    if (!isHere(attachment, records.claims.get(key), self.host)) continue;
    here.add(key);
    planLocal(state, attachment);
  }
  for (const [key, claim] of records.claims) {
    const network = networks.get(claim.network);
    const target = targetOf(claim);
    // what is ours but not here is sent nowhere: better a lost frame than a loop
    if (network && target !== self.host && !here.has(key)) planRemote(state, network, claim, records.hosts.get(target));
  }
  // a claim may outlive its container for a moment, and its rules name the bridge
  const returns = published.returns.filter(({ network }) => networks.has(network.key));
  for (const { network, ip, to } of returns) for (const host of to) planHost(state, network, host, familyOf(ip));
  const underlay = [...new Set([self.address, ...[...records.hosts.values()].map(({ address }) => address)])].sort();
  return { state, untouched, networks: [...networks.values()], underlay, published: { ...published, returns } };
}

/**
 * Whether this host delivers an endpoint's frames to its own port.
 *
 * During a move no frame may find both doors shut. So the destination opens its own, with the hold behind it, before
 * any host is told; and the source, which hosts that have not heard yet still send to, shuts its own with the cut.
 */
function isHere({ cut, accepting }: Attachment, claim: Claim | undefined, self: string): boolean {
  if (!claim || targetOf(claim) === self) return true;
  return claim.host === self ? !cut : accepting;
}

function planDevices(state: State, network: Network, self: Self): void {
  const [bridge, vxlan] = [bridgeName(network.vni), vxlanName(network.vni)];
  const { subnet, gateway, subnet6, gateway6, internal } = network;
  const address = internal ? undefined : `${gateway}/${lengthOf(subnet)}`;
  const address6 = internal || subnet6 === undefined ? undefined : `${gateway6}/${lengthOf(subnet6)}`;
  state.bridges.set(bridge, { name: bridge, mac: gatewayMac(network.vni), mtu: network.mtu, address, address6, up: true });
  state.vxlans.set(vxlan, {
    name: vxlan,
    master: bridge,
    vni: network.vni,
    port: self.vxlanPort,
    local: self.address,
    mtu: network.mtu,
    up: true,
    learning: false,
    suppress: true,
  });
}

function planFlood(state: State, network: Network, hosts: ReadonlyMap<string, Host>, self: Self): void {
  for (const host of hosts.values()) {
    // a flood entry for oneself would be a loop
    if (host.name === self.host || host.address === self.address) continue;
    addTunnel(state, vxlanName(network.vni), EVERYONE, host.address);
  }
}

function planPort(state: State, attachment: Attachment): void {
  const { network, link, cut } = attachment;
  const name = portName(link);
  state.ports.set(name, {
    name,
    master: bridgeName(network.vni),
    mtu: network.mtu,
    up: true,
    // a frame the endpoint still sends during its own redirect must not bring its address back here
    learning: false,
    state: cut ? 'disabled' : 'forwarding',
  });
}

function planLocal(state: State, { network, ip, ip6, mac, link, attached }: Attachment): void {
  if (!attached) return;
  addForward(state, network, mac, portName(link));
  for (const address of addressesOf({ ip, ip6 })) addNeighbour(state, network, address, mac);
}

function planRemote(state: State, network: Network, claim: Claim, host: Host | undefined): void {
  if (!claim.mac || !host) return;
  const vxlan = vxlanName(network.vni);
  addTunnel(state, vxlan, claim.mac, host.address);
  addForward(state, network, claim.mac, vxlan);
  for (const address of addressesOf(claim)) addNeighbour(state, network, address, claim.mac);
}

/** A host itself, to which answers of a family go that came in there. */
function planHost(state: State, network: Network, host: Host, family: Family): void {
  const vxlan = vxlanName(network.vni);
  addTunnel(state, vxlan, hostMac(host.name), host.address);
  addForward(state, network, hostMac(host.name), vxlan);
  const route = { dev: bridgeName(network.vni), to: hostAddress(host.name, family) };
  state.routes.set(routeKey(route), route);
  addNeighbour(state, network, route.to, hostMac(host.name));
}

function addTunnel(state: State, dev: string, mac: string, dst: string): void {
  const entry = { dev, mac, dst };
  state.tunnels.set(tunnelKey(entry), entry);
}

function addForward(state: State, network: Network, mac: string, dev: string): void {
  const entry = { bridge: bridgeName(network.vni), mac, dev };
  state.forwards.set(forwardKey(entry), entry);
}

function addNeighbour(state: State, network: Network, ip: string, mac: string): void {
  const entry = { dev: bridgeName(network.vni), ip, mac };
  state.neighbours.set(neighbourKey(entry), entry);
}
