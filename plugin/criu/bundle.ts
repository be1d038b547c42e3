/** The part of an OCI runtime configuration that a restore changes; the rest is passed on as it is. */
export interface OciConfig {
  hooks?: Partial<Record<'prestart' | 'createRuntime', OciHook[]>> & Record<string, unknown>;
  annotations?: Record<string, string>;
  mounts?: OciMount[];
  linux: { namespaces: { type: string; path?: string }[]; sysctl?: Record<string, string> } & Record<string, unknown>;
  [key: string]: unknown;
}

export interface OciMount {
  destination: string;
  type?: string;
  source?: string;
}

export interface OciHook {
  path: string;
  args?: string[];
  env?: string[];
}

/**
 * CRIU's options for a restore that runc has no flags for, or that it must not overrule: its configuration file comes after
 * runc's own choice (runc libcontainer/criu_linux.go, handleCriuConfigurationFile).
 *
 * No network lock, as frames are held. No cgroups: the restored tasks stay in CRIU's, where runc has put it, which is the
 * container's. Otherwise CRIU takes them to the cgroup they had at the source, which on cgroup v2 runc does not correct.
 */
export const RESTORE_OPTIONS = 'network-lock skip\nmanage-cgroups=ignore\n';

/**
 * The network namespace that runc is started in, whenever that is. It must be named, or `docker exec` would not enter the
 * container's (runc libcontainer/container_linux.go, orderNamespacePaths).
 */
const OWN_NETWORK = '/proc/self/ns/net';

export interface ArrivalBundle {
  config: OciConfig;
  /** Docker's own hook, to be run early. */
  setKey?: OciHook;
  /** Settings of the network namespace, to be made in the one that is ready: runc makes none of a restore's. */
  sysctl: Record<string, string>;
}

/**
 * Turns the bundle of a container that is to be created into that of one that is to be restored: `runc restore` is started in
 * the network namespace made for it and stays there.
 *
 * Docker up to 27 plumbs the network in a `prestart` hook, which runs inside `runc restore` and so inside the
 * blackout; it is taken out and returned, for the agent to run it early. Later engines plumb by themselves.
 *
 * @param options path of a file with {@link RESTORE_OPTIONS}, on the host
 * @param from what is mounted instead of what the engine says, by its source; only of {@link boundFiles}
 */
export function arrivalBundle(config: OciConfig, options: string, from: ReadonlyMap<string, string> = new Map()): ArrivalBundle {
  const isSetKey = (hook: OciHook): boolean => hook.args?.[0] === 'libnetwork-setkey';
  const prestart = config.hooks?.prestart ?? [];
  const setKey = prestart.find(isSetKey);
  const settings = Object.entries(config.linux.sysctl ?? {});
  const ofNetwork = ([name]: [string, string]): boolean => name.startsWith('net.');
  const changed: OciConfig = {
    ...config,
    annotations: { ...config.annotations, 'org.criu.config': options },
    ...(config.mounts ? { mounts: config.mounts.map((mount) => (isBind(mount) ? { ...mount, source: from.get(mount.source) ?? mount.source } : mount)) } : {}),
    hooks: {
      ...config.hooks,
      prestart: prestart.filter((hook) => !isSetKey(hook)),
    },
    linux: {
      ...config.linux,
      namespaces: config.linux.namespaces.map((namespace) => (namespace.type === 'network' ? { ...namespace, path: OWN_NETWORK } : namespace)),
      // runc refuses those of a network that is not the container's own
      sysctl: Object.fromEntries(settings.filter((setting) => !ofNetwork(setting))),
    },
  };
  return { config: changed, sysctl: Object.fromEntries(settings.filter(ofNetwork)), ...(setKey ? { setKey } : {}) };
}

/** What of this host the engine mounts into the container. */
export function boundFiles({ mounts }: OciConfig): { source: string; destination: string }[] {
  return (mounts ?? []).filter(isBind);
}

function isBind(mount: OciMount): mount is OciMount & { source: string } {
  return mount.type === 'bind' && mount.source !== undefined;
}
