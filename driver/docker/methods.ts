import type { z } from 'zod';
import type { Ipam } from '../ipam/driver.ts';
import { ADDRESS_SPACE } from '../ipam/pool.ts';
import { createEndpoint, deleteEndpoint, join } from '../network/endpoints.ts';
import { createNetwork, deleteNetwork } from '../network/networks.ts';
import type { Room } from '../network/room.ts';
import { publish, unpublish } from '../publish/publish.ts';
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
    // docker ps shows no ports of a remote driver, whatever it says here: the engine reads only its own drivers' answers
    'NetworkDriver.EndpointOperInfo': method(messages.EndpointRequest, () => ({ Value: {} })),
    'NetworkDriver.Join': method(messages.JoinRequest, (body) => join(room, body)),
    // the port goes with the endpoint: Docker moves its interface back only after this
    'NetworkDriver.Leave': method(messages.EndpointRequest, () => undefined),
    'NetworkDriver.ProgramExternalConnectivity': method(messages.ConnectivityRequest, ({ EndpointID, Options }) => publish(room, EndpointID, Options?.['com.docker.network.portmap'] ?? [])),
    'NetworkDriver.RevokeExternalConnectivity': method(messages.EndpointRequest, ({ EndpointID }) => unpublish(room, EndpointID)),
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
