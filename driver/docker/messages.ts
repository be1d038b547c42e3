import { z } from 'zod';

/**
 * What Docker says to its plugins, and what it hears: `docker.networkdriver/1.0`
 * (moby daemon/libnetwork/drivers/remote/api/api.go) and `docker.ipamdriver/1.0`
 * (moby daemon/libnetwork/ipams/remote/api/api.go). Only the fields we use. Go says `null` for an
 * empty map or list.
 */
const id = z.string().min(1);
const text = z.string().nullish();
const map = z.record(z.string(), z.unknown()).nullish();

export const Nothing = z.unknown();

const IpamData = z.object({
  AddressSpace: z.string(),
  /** CIDR. */
  Pool: z.string(),
  /** With its prefix length. */
  Gateway: text,
  AuxAddresses: z.record(z.string(), z.string()).nullish(),
});

export const CreateNetworkRequest = z.object({ NetworkID: id, Options: map, IPv4Data: z.array(IpamData).nullish(), IPv6Data: z.array(IpamData).nullish() });
export type CreateNetworkRequest = z.infer<typeof CreateNetworkRequest>;

export const NetworkRequest = z.object({ NetworkID: id });
export const EndpointRequest = z.object({ NetworkID: id, EndpointID: id });

export const CreateEndpointRequest = EndpointRequest.extend({
  /** `Address` with its prefix length. */
  Interface: z.object({ Address: text, AddressIPv6: text, MacAddress: text }).nullish(),
  Options: map,
});
export type CreateEndpointRequest = z.infer<typeof CreateEndpointRequest>;

/** May only fill in what the request left empty. */
export interface CreateEndpointResponse {
  Interface: { MacAddress?: string };
}

export const JoinRequest = EndpointRequest.extend({ SandboxKey: text, Options: map });

export interface JoinResponse {
  /** The interface Docker moves into the container, and what its name there begins with. */
  InterfaceName?: { SrcName: string; DstPrefix: string };
  Gateway?: string;
  GatewayIPv6?: string;
  DisableGatewayService?: boolean;
}

const port = z.number().int().min(0).max(65_535);
/** A port to publish, in the option `com.docker.network.portmap`. */
const PortBinding = z.object({ Proto: z.number(), Port: port, HostIP: text, HostPort: port.nullish(), HostPortEnd: port.nullish() });
export const ConnectivityRequest = EndpointRequest.extend({ Options: z.object({ 'com.docker.network.portmap': z.array(PortBinding).nullish() }).nullish() });

export const RequestPoolRequest = z.object({ AddressSpace: text, Pool: text, SubPool: text, Options: map, V6: z.boolean().nullish() });
export type RequestPoolRequest = z.infer<typeof RequestPoolRequest>;

export const PoolRequest = z.object({ PoolID: id });

export const RequestAddressRequest = z.object({ PoolID: id, Address: text, Options: z.record(z.string(), z.string()).nullish() });
export type RequestAddressRequest = z.infer<typeof RequestAddressRequest>;

export const ReleaseAddressRequest = z.object({ PoolID: id, Address: id });
