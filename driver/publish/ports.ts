import { CoatError } from '../host/errors.ts';
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
  hostIp?: string | undefined;
  /** One of these, the first that is free; 0 is any. */
  hostPorts: number[];
}

/** IANA protocol numbers. */
const PROTOCOLS: Record<number, PublishedPort['proto']> = { 6: 'tcp', 17: 'udp' };

/**
 * Reads what Docker asks to publish. All addresses of a host are IPv4 ones.
 *
 * @throws CoatError `bad-protocol`, `no-ipv6`
 */
export const readPorts = (bindings: readonly PortBinding[]): AskedPort[] => bindings.map(readPort);

function readPort({ Proto, Port, HostIP, HostPort, HostPortEnd }: PortBinding): AskedPort {
  const proto = PROTOCOLS[Proto];
  if (proto === undefined) throw new CoatError('bad-protocol', `coat publishes ports of TCP and UDP, and port ${Port} is of neither`, { hint: 'leave that -p out' });
  if (HostIP?.includes(':') === true && HostIP !== '::') throw new CoatError('no-ipv6', `coat publishes no port at an IPv6 address, such as ${HostIP}`, { hint: 'use an IPv4 address of the host, or none' });
  const first = HostPort ?? 0;
  const last = Math.max(first, HostPortEnd ?? 0);
  const all = HostIP === undefined || HostIP === null || HostIP === '' || HostIP === '0.0.0.0' || HostIP === '::';
  return { proto, port: Port, ...(all ? {} : { hostIp: HostIP }), hostPorts: first === 0 ? [0] : range(first, last) };
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** The same ports again, for another host. */
export const askedAgain = (ports: readonly PublishedPort[]): AskedPort[] => ports.map(({ hostPort, ...port }) => ({ ...port, hostPorts: [hostPort] }));

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
