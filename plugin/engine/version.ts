import { CoatError } from '../../driver/host/errors.ts';

/**
 * The newest version of the Engine API that calls are made with: Docker 25 to 29.0 know it, and 29.0 is the first that accepts no
 * older one (moby daemon/config/config.go, defaultMinAPIVersion; from 29.3 on it is 1.40 again).
 */
const NEWEST = '1.44';
/** Of Docker 24, the oldest that is spoken: what it does not know is in {@link inVersion}. */
export const OLDEST = '1.43';

/** What a setting may make of it: an older version is spoken to an engine that knows a newer one, too. */
export function newest(env: NodeJS.ProcessEnv): string {
  return env['COAT_DOCKER_API'] === OLDEST ? OLDEST : NEWEST;
}

/** The older of two versions; where the engine does not say, ours. */
export function older(ours: string, theirs: string | undefined): string {
  return theirs !== undefined && isBefore(theirs, ours) ? theirs : ours;
}

/** Whether an engine can make a container on several networks at once, and give each its MAC address. */
export const takesNetworks = (api: string): boolean => !isBefore(api, '1.44');

/**
 * What an engine is asked to create, in the words of its API. Before 1.44 the MAC address is the container's, which has it on the
 * network of its mode (moby daemon/container_operations.go, buildCreateEndpointOptions), and it is made on one network at most.
 *
 * @throws CoatError `one-network`
 */
export function inVersion(api: string, body: Record<string, unknown>): Record<string, unknown> {
  if (takesNetworks(api)) return body;
  const endpoints = Object.entries(((body['NetworkingConfig'] ?? {}) as { EndpointsConfig?: Record<string, Endpoint> }).EndpointsConfig ?? {});
  const [first, ...more] = endpoints;
  if (first === undefined) return body;
  if (more.length > 0) throw oneNetwork('this host', 'this container');
  const [name, { MacAddress, ...rest }] = first;
  return { ...body, ...(MacAddress ? { MacAddress } : {}), NetworkingConfig: { EndpointsConfig: { [name]: rest } } };
}

interface Endpoint { MacAddress?: string }

export function oneNetwork(host: string, container: string): CoatError {
  return new CoatError('one-network', `the engine of ${host} is older than Docker 25 and makes containers on one network only, and ${container} is on several`, {
    hint: 'docker network disconnect it from the others first, or install Docker 25 or newer there',
  });
}

function isBefore(one: string, other: string): boolean {
  const [a = 0, b = 0] = one.split('.').map(Number);
  const [c = 0, d = 0] = other.split('.').map(Number);
  return a < c || (a === c && b < d);
}
