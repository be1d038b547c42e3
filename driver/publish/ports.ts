import { CoatError } from '../host/errors.ts';
import { canonical, familyOf, type Family } from '../ipam/address.ts';
import type { Claim, PublishedPort } from '../overlay/records.ts';

/** One entry of Docker's option `com.docker.network.portmap` (libnetwork/types, PortBinding). */
export interface PortBinding {
  /** IP protocol number. */
  Proto: number;
  /** The container's. */
  Port: number;
  HostIP?: string | null | undefined;
  /** 0 or absent: any that is free. */
  HostPort?: number | null | undefined;
  /** Up to here any that is free, from HostPort on. */
  HostPortEnd?: number | null | undefined;
}

/** What a user asks for with one `-p`. */
export interface AskedPort {
  proto: PublishedPort['proto'];
  port: number;
  /** At all of these, with one port: `undefined` is all IPv4 addresses of the host, `::` all of IPv6. */
  hostIps: (string | undefined)[];
  /** One of these, the first that is free; 0 is any. */
  hostPorts: number[];
}

/** IANA protocol numbers. */
const PROTOCOLS: Record<number, PublishedPort['proto']> = { 6: 'tcp', 17: 'udp' };

/**
 * Reads what Docker asks to publish. Without an address it is all of the host, as far as the container has one of that family.
 *
 * @param ipv6 whether the container has an IPv6 address
 * @throws CoatError `bad-protocol`, `no-ipv6`, `no-loopback`
 */
export const readPorts = (bindings: readonly PortBinding[], ipv6: boolean): AskedPort[] => bindings.map((binding) => readPort(binding, ipv6));

function readPort({ Proto, Port, HostIP, HostPort, HostPortEnd }: PortBinding, ipv6: boolean): AskedPort {
  const proto = PROTOCOLS[Proto];
  if (proto === undefined) throw new CoatError('bad-protocol', `coat publishes ports of TCP and UDP, and port ${Port} is of neither`, { hint: 'leave that -p out' });
  if (familyOf(HostIP ?? '') === 6 && !ipv6) throw new CoatError('no-ipv6', `the network has no IPv6, so port ${Port} cannot be reached at ${HostIP}`, { hint: 'make the network with --ipv6, or leave the address of -p out' });
  if (HostIP === '::1') throw new CoatError('no-loopback', 'coat publishes no port at ::1, by which the kernel lets no answer come back', { hint: 'use 127.0.0.1 for -p' });
  const first = HostPort ?? 0;
  const last = Math.max(first, HostPortEnd ?? 0);
  return { proto, port: Port, hostIps: addressesAt(HostIP ?? '', ipv6), hostPorts: first === 0 ? [0] : range(first, last) };
}

function addressesAt(hostIp: string, ipv6: boolean): AskedPort['hostIps'] {
  if (hostIp === '') return ipv6 ? [undefined, '::'] : [undefined];
  return hostIp === '0.0.0.0' ? [undefined] : [canonical(hostIp)];
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** The same ports again, for another host. */
export const askedAgain = (ports: readonly PublishedPort[]): AskedPort[] => ports.map(({ proto, port, hostIp, hostPort }) => ({ proto, port, hostIps: [hostIp], hostPorts: [hostPort] }));

/** In which family the container is reached. */
export const familyOfPort = ({ hostIp }: PublishedPort): Family => familyOf(hostIp ?? '');

/** What two containers of one host cannot both have. */
export const portKey = ({ proto, hostIp, hostPort }: PublishedPort): string => `${proto} ${hostIp ?? '*'} ${hostPort}`;

/** What of a container is published at a host, according to its claim. */
export const portsAt = (claim: Claim | undefined, host: string): PublishedPort[] => claim?.published?.find((entry) => entry.host === host)?.ports ?? [];

/** The claim with what a host publishes; hosts stay in the order in which they came. */
export function withPorts(claim: Claim, host: string, ports: readonly PublishedPort[]): Claim {
  const { published = [], ...rest } = claim;
  const others = published.some((entry) => entry.host === host) ? published : [...published, { host, ports: [] }];
  const next = others.map((entry) => (entry.host === host ? { host, ports: [...ports] } : entry)).filter((entry) => entry.ports.length > 0);
  return next.length === 0 ? rest : { ...rest, published: next };
}
