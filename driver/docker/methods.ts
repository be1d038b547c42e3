import type { z } from 'zod';
import { CoatError } from '../host/errors.ts';
import type { Ipam } from '../ipam/driver.ts';
import { ADDRESS_SPACE } from '../ipam/pool.ts';
import { createEndpoint, deleteEndpoint, join } from '../network/endpoints.ts';
import { createNetwork, deleteNetwork } from '../network/networks.ts';
import type { Room } from '../network/room.ts';
import * as messages from './messages.ts';

/** One call of Docker: how its body is read, and what it does. The answer becomes JSON. */
export interface Method {
  body: z.ZodType;
  /** Whether Docker sends no body at all; elsewhere an empty one is a retry that lost it. */
  empty: boolean;
  run(body: unknown): unknown;
}

const method = <T>(body: z.ZodType<T>, run: (body: T) => unknown, empty = false): Method => ({ body, empty, run: (value) => run(value as T) });
const question = (run: () => unknown): Method => method(messages.Nothing, run, true);

/**
 * Every call of both plugin protocols, by its path. `Plugin.Activate` is asked only through
 * /run/docker/plugins; scope `local` says that each engine has its own object for a network.
 */
export function methods(room: Room, ipam: Ipam): Record<string, Method> {
  return {
    'Plugin.Activate': question(() => ({ Implements: ['NetworkDriver', 'IpamDriver'] })),

    'NetworkDriver.GetCapabilities': question(() => ({ Scope: 'local', ConnectivityScope: 'global' })),
    'NetworkDriver.CreateNetwork': method(messages.CreateNetworkRequest, (body) => createNetwork(room, body)),
    'NetworkDriver.DeleteNetwork': method(messages.NetworkRequest, ({ NetworkID }) => deleteNetwork(room, NetworkID)),
    'NetworkDriver.CreateEndpoint': method(messages.CreateEndpointRequest, (body) => createEndpoint(room, body)),
    'NetworkDriver.DeleteEndpoint': method(messages.EndpointRequest, ({ EndpointID }) => deleteEndpoint(room, EndpointID)),
    'NetworkDriver.EndpointOperInfo': method(messages.EndpointRequest, () => ({ Value: {} })),
    'NetworkDriver.Join': method(messages.JoinRequest, (body) => join(room, body)),
    // the port goes with the endpoint: Docker moves its interface back only after this
    'NetworkDriver.Leave': method(messages.EndpointRequest, () => undefined),
    'NetworkDriver.ProgramExternalConnectivity': method(messages.ConnectivityRequest, refusePorts),
    'NetworkDriver.RevokeExternalConnectivity': method(messages.EndpointRequest, () => undefined),
    // of Swarm, which has its own overlay
    'NetworkDriver.DiscoverNew': method(messages.Nothing, () => undefined),
    'NetworkDriver.DiscoverDelete': method(messages.Nothing, () => undefined),

    'IpamDriver.GetCapabilities': question(() => ({ RequiresMACAddress: false, RequiresRequestReplay: false })),
    // the same space twice: Docker then leaves overlaps to us instead of asking again and again
    'IpamDriver.GetDefaultAddressSpaces': question(() => ({ LocalDefaultAddressSpace: ADDRESS_SPACE, GlobalDefaultAddressSpace: ADDRESS_SPACE })),
    'IpamDriver.RequestPool': method(messages.RequestPoolRequest, (body) => ipam.requestPool(body)),
    'IpamDriver.ReleasePool': method(messages.PoolRequest, (body) => ipam.releasePool(body)),
    'IpamDriver.RequestAddress': method(messages.RequestAddressRequest, (body) => ipam.requestAddress(body)),
    'IpamDriver.ReleaseAddress': method(messages.ReleaseAddressRequest, (body) => ipam.releaseAddress(body)),
  };
}

function refusePorts({ Options }: z.infer<typeof messages.ConnectivityRequest>): void {
  const ports = Options?.['com.docker.network.portmap'] ?? [];
  if (ports.length === 0) return;
  throw new CoatError('no-ports', `a coat network publishes no ports yet, such as ${ports[0]!.Port}`, {
    hint: "leave -p out and use the container's own address, which is the same from every host of the network",
  });
}
