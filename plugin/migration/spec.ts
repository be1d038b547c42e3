import type { EndpointSettings, Inspect } from '../engine/containers.ts';
import { ownMounts } from './volumes.ts';

/** The runtime a container has from its first move on; everything it does not restore it leaves to runc. */
export const RUNTIME = 'coat';

/**
 * What the destination's engine is asked to create: the same name, configuration and labels, and every address pinned.
 *
 * Differs from the source only where it must: the runtime, which restores; and the addresses and MACs, which a user may
 * have left to Docker at first, and which the container must now keep.
 *
 * @param init whether it has Docker's init, which may have been the engine's choice and not the user's
 */
export function destinationBody(inspect: Inspect, init: boolean): Record<string, unknown> {
  const endpoints = Object.entries(inspect.NetworkSettings.Networks).map(([name, settings]) => [name, pinned(settings, [inspect.Id.slice(0, 12), inspect.Config.Hostname])]);
  return {
    ...inspect.Config,
    HostConfig: { ...inspect.HostConfig, ...(init ? { Init: true } : {}), ...ownMounts(inspect), Runtime: RUNTIME, NetworkMode: networkMode(inspect) },
    NetworkingConfig: { EndpointsConfig: Object.fromEntries(endpoints) as Record<string, unknown> },
  };
}

/** Compose names a network by its id, which is another one on every engine; its name is the same. */
function networkMode({ HostConfig: { NetworkMode }, NetworkSettings }: Inspect): string {
  const byId = Object.entries(NetworkSettings.Networks).find(([, { NetworkID }]) => NetworkID === NetworkMode);
  return byId ? byId[0] : NetworkMode;
}

/** @param implied names that the engine lists as aliases by itself, up to version 1.44 of its API */
function pinned(settings: EndpointSettings, implied: readonly string[]): Record<string, unknown> {
  return {
    IPAMConfig: { ...settings.IPAMConfig, IPv4Address: settings.IPAddress, ...(settings.GlobalIPv6Address ? { IPv6Address: settings.GlobalIPv6Address } : {}) },
    MacAddress: settings.MacAddress,
    Links: settings.Links ?? null,
    Aliases: settings.Aliases?.filter((alias) => !implied.includes(alias)) ?? null,
    DriverOpts: settings.DriverOpts ?? null,
    ...(settings.GwPriority === undefined ? {} : { GwPriority: settings.GwPriority }),
  };
}

/**
 * The same body for an engine that lets nobody choose an address in some networks: there the container asks for any, and is
 * given its own. Its MAC stays pinned.
 */
export function unpinned(body: Record<string, unknown>, networks: readonly string[]): Record<string, unknown> {
  const { EndpointsConfig: all } = body['NetworkingConfig'] as { EndpointsConfig: Record<string, Record<string, unknown>> };
  const freed = networks.map((name) => [name, { ...all[name], IPAMConfig: null }]);
  return { ...body, NetworkingConfig: { EndpointsConfig: { ...all, ...(Object.fromEntries(freed) as object) } } };
}

/** Whether its engine starts it again. */
export function restarts({ HostConfig }: Inspect): boolean {
  const name = HostConfig.RestartPolicy?.Name;
  return name !== undefined && name !== '' && name !== 'no';
}
