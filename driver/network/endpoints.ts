import { CoatError, explain } from '../host/errors.ts';
import { Undo } from '../host/undo.ts';
import { canonical, withoutLength } from '../ipam/address.ts';
import { used } from '../ipam/spares.ts';
import { removeNetns } from '../kernel/netns.ts';
import { createVeth, freshPort, linkExists } from '../kernel/veth.ts';
import { comesLater, firstClaim, mayUse, taken } from '../overlay/claims.ts';
import { endpointMac, innerName, linkOf, portName } from '../overlay/names.ts';
import { addressesOf, Claim, claimPath, type Network } from '../overlay/records.ts';
import { changeRecord } from '../store/change.ts';
import type { CreateEndpointRequest, CreateEndpointResponse, JoinResponse } from '../docker/messages.ts';
import type { Endpoint } from './local.ts';
import type { Room } from './room.ts';

/**
 * Writes an endpoint's MAC into the claim of its address. An endpoint that was plumbed ahead of
 * Docker takes over what is there.
 *
 * @returns the MAC where Docker named none; repeating what it named is an error (libnetwork, remote driver)
 */
export async function createEndpoint(room: Room, { NetworkID, EndpointID, Interface }: CreateEndpointRequest): Promise<CreateEndpointResponse> {
  const network = networkOf(room, NetworkID);
  if (!Interface?.Address) throw new CoatError('no-address', 'an endpoint of a coat network needs an IPv4 address', { hint: 'create the network with --ipam-driver coat' });
  const ip = canonical(withoutLength(Interface.Address));
  const ip6 = Interface.AddressIPv6 ? canonical(withoutLength(Interface.AddressIPv6)) : undefined;
  const second = ip6 === undefined ? {} : { ip6 };
  const given = Interface.MacAddress?.toLowerCase() || undefined;
  const arrival = room.local.arrivalAt(network.key, ip);
  const known = room.local.endpoints.get(EndpointID);
  if (arrival && given !== arrival.mac && room.offers.at(network.key) === ip) {
    throw new CoatError('address-promised', `the address ${ip} was meant for a container that comes to this host at this moment`, { hint: 'try again' });
  }
  const mac = given ?? known?.mac ?? arrival?.mac ?? endpointMac(ip, macsOf(room, network, ip));
  if (arrival && arrival.mac !== mac) throw new CoatError('other-mac', `the container arriving at ${ip} has the MAC ${arrival.mac}, not ${mac}`);
  if (arrival && arrival.ip6 !== ip6) throw new CoatError('other-address', `the container arriving at ${ip} has ${arrival.ip6 ?? 'no IPv6 address'} as well, not ${ip6 ?? 'none'}`);
  const reserved = addressesOf({ ip, ip6 }).find((address) => network.reserved?.includes(address));
  if (reserved !== undefined) throw new CoatError('address-reserved', `the address ${reserved} is reserved (--aux-address)`);

  if (!arrival && !known && comesLater(room.replica.claims.get(`${network.key}/${ip}`), room.host)) {
    throw new CoatError('address-promised', `the address ${ip} is that of a container which is being moved here, and runs where it was`, { hint: 'its move starts it; docker coat history shows how far that is' });
  }

  if (macsOf(room, network, ip).has(mac)) throw new CoatError('mac-taken', `the MAC ${mac} belongs to another container of the network`, { hint: 'choose another --mac-address, or none' });
  if (ip6 !== undefined) await claimAs(room, network, ip6, {});
  await claimAs(room, network, ip, { mac, ...second });
  if (!known) {
    for (const address of addressesOf({ ip, ip6 })) await dropStale(room, network, address);
    const base = { id: EndpointID, networkId: NetworkID, key: network.key, ip, ...second, mac, held: false, cut: false, accepting: arrival?.accepting ?? false };
    const endpoint: Endpoint = arrival
      ? { ...base, link: arrival.link, held: arrival.held, cut: arrival.cut, netns: arrival.netns, joined: true }
      : { ...base, link: linkOf(EndpointID), joined: false };
    await room.local.endpoints.set(endpoint);
    if (arrival) await room.local.arrivals.delete(arrival.id);
    room.offers.close(network.key, ip);
  }
  return { Interface: given ? {} : { MacAddress: mac } };
}

/**
 * Plumbs an endpoint: its bridge and tunnels if it is the first here, and a veth whose other end
 * Docker moves into the container. One that was plumbed before is told to Docker without an
 * interface, so that Docker only sets its routes.
 */
export async function join(room: Room, { NetworkID, EndpointID, SandboxKey }: { NetworkID: string; EndpointID: string; SandboxKey?: string | null | undefined }): Promise<JoinResponse> {
  const network = networkOf(room, NetworkID);
  const known = room.local.endpoints.get(EndpointID);
  if (!known) throw new CoatError('unknown-endpoint', `there is no endpoint ${EndpointID.slice(0, 12)} to join`);
  // without a gateway Docker would attach the container to its own docker_gwbridge as well
  const way: JoinResponse = network.internal ? { DisableGatewayService: true } : { Gateway: network.gateway, ...(known.ip6 !== undefined && network.gateway6 !== undefined ? { GatewayIPv6: network.gateway6 } : {}) };
  const endpoint: Endpoint = { ...known, ...(SandboxKey ? { sandbox: onHost(SandboxKey) } : {}) };
  if (endpoint.netns !== undefined) {
    // a moved container stands still meanwhile, and only its names need the disk to know
    void room.local.endpoints.set(endpoint).catch((error: unknown) => room.log.warn({ reason: explain(error) }, 'where the namespace of a container is was not written down'));
    room.responders.changed();
    return way;
  }

  await using undo = new Undo((what, error) => room.log.error({ err: error, what }, 'a failed join could not be undone'));
  const [port, inner] = [portName(endpoint.link), innerName(endpoint.link)];
  undo.add('join', async () => {
    await room.local.endpoints.set({ ...endpoint, joined: false });
    await room.reconciler.now(true);
  });
  const written = room.local.endpoints.set({ ...endpoint, joined: true });
  const isThere = await linkExists(room.kernel, port);
  // the disk may take as long as the kernel; what a crash leaves between the two is removed, and nobody has heard of it
  await Promise.all([written, isThere ? undefined : createVeth(room.kernel, { port, mtu: network.mtu, inner: { name: inner, mac: endpoint.mac } })]);
  if (isThere) await room.reconciler.now(true);
  else {
    const claim = `${network.key}/${endpoint.ip}`;
    await room.reconciler.made(freshPort(port, network.mtu), new Map([[claim, room.replica.claims.get(claim)]]));
  }
  undo.commit();
  room.responders.changed();
  return { InterfaceName: { SrcName: inner, DstPrefix: 'eth' }, ...way };
}

/** Removes an endpoint with its port. An unknown one is fine: Docker says so twice, or to a driver that forgot. */
export async function deleteEndpoint(room: Room, id: string): Promise<void> {
  const endpoint = room.local.endpoints.get(id);
  if (!endpoint) return;
  await room.local.endpoints.delete(id);
  room.responders.changed();
  // one whose container never came still has its namespace's name
  if (endpoint.netns !== undefined) await removeNetns(room, endpoint.netns);
  // the reconciler removes the port, which nothing explains any more, and after the last one the bridge
  if (endpoint.joined) await room.reconciler.now(true);
}

/** The network of this engine with that id. @throws CoatError `unknown-network` */
export function networkOf(room: Room, id: string): Network {
  const local = room.local.networks.get(id);
  if (!local) throw new CoatError('unknown-network', `this host's coat does not know the network ${id.slice(0, 12)}`, { hint: 'remove the network and create it again' });
  return room.replica.networks.get(local.network.key) ?? local.network;
}

/** The MACs of all other addresses of a network. */
export function macsOf(room: Pick<Room, 'replica'>, network: Network, ip: string): Set<string> {
  const others = [...room.replica.claims.values()].filter((claim) => claim.network === network.key && claim.ip !== ip);
  return new Set(others.flatMap(({ mac }) => mac ?? []));
}

/** Docker says /var/run, which on a host is a link to /run, and in a plugin one to the plugin's own. */
const onHost = (path: string): string => path.replace(/^\/var\/run\//, '/run/');

/** An endpoint Docker never deleted, because it died, is in the way of the next one at its address. */
async function dropStale(room: Room, network: Network, ip: string): Promise<void> {
  const old = room.local.endpointAt(network.key, ip);
  if (!old) return;
  if (old.joined && (await linkExists(room.kernel, portName(old.link)))) throw new CoatError('address-in-use', `another container of this host has the address ${ip}`);
  await room.local.endpoints.delete(old.id);
}

/** Makes the claim of an address this host's, with what is known of its endpoint. @throws CoatError where it is another's */
async function claimAs(room: Room, network: Network, ip: string, known: { mac?: string; ip6?: string }): Promise<void> {
  const says = (claim: Claim): boolean => (known.mac === undefined || claim.mac === known.mac) && claim.ip6 === known.ip6;
  const decide = (claim: Claim | undefined): Claim | undefined => {
    if (!claim) return { ...firstClaim(network.key, ip, room.host), ...known };
    if (!mayUse(claim, room.host)) throw taken(claim);
    if (says(claim) && !claim.spare) return undefined;
    if (claim.host !== room.host) throw new CoatError('other-mac', `the container on its way to ${ip} has the MAC ${claim.mac}, not ${known.mac}`);
    return used({ ...claim, ...known });
  };
  // what the replica already says needs no store, so a move or a restart does not wait for one
  const claim = room.replica.claims.get(`${network.key}/${ip}`);
  if (claim && mayUse(claim, room.host) && says(claim) && !claim.spare) return;
  // leased in advance for such a time; the claim is settled when the store is back
  if (claim?.spare && claim.host === room.host && !room.replica.connected) return;
  await changeRecord(room, claimPath(network.key, ip), (value) => Claim.parse(value), decide);
}
