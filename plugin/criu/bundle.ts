/** The part of an OCI runtime configuration that a restore changes; the rest is passed on as it is. */
export interface OciConfig {
  hooks?: Partial<Record<'prestart' | 'createRuntime', OciHook[]>> & Record<string, unknown>;
  linux: { namespaces: { type: string; path?: string }[]; sysctl?: Record<string, string> } & Record<string, unknown>;
  [key: string]: unknown;
}

export interface OciHook {
  path: string;
  args?: string[];
  env?: string[];
}

export interface ArrivalBundle {
  config: OciConfig;
  /** Docker's own hook, to be run early. */
  setKey?: OciHook;
  /** Settings of the network namespace, to be made in the one that is ready: runc makes none of a restore's. */
  sysctl: Record<string, string>;
}

/**
 * Turns the bundle of a container that is to be created into that of one that is to be restored: `runc restore` is started in
 * the network namespace made for it and is told of none, and a hook tells the container's pid and waits for Docker's `start`.
 *
 * Docker up to 27 plumbs the network in a `prestart` hook, which runs inside `runc restore` and so inside the
 * blackout; it is taken out and returned, for the agent to run it early. Later engines plumb by themselves.
 */
export function arrivalBundle(config: OciConfig, door: { path: string; directory: string }): ArrivalBundle {
  const isSetKey = (hook: OciHook): boolean => hook.args?.[0] === 'libnetwork-setkey';
  const prestart = config.hooks?.prestart ?? [];
  const setKey = prestart.find(isSetKey);
  const settings = Object.entries(config.linux.sysctl ?? {});
  const ofNetwork = ([name]: [string, string]): boolean => name.startsWith('net.');
  const changed: OciConfig = {
    ...config,
    hooks: {
      ...config.hooks,
      prestart: prestart.filter((hook) => !isSetKey(hook)),
      createRuntime: [...(config.hooks?.createRuntime ?? []), { path: door.path, args: ['coat-runc', 'coat-hook', door.directory] }],
    },
    linux: {
      ...config.linux,
      namespaces: config.linux.namespaces.filter(({ type }) => type !== 'network'),
      // runc refuses those of a network that is not the container's own
      sysctl: Object.fromEntries(settings.filter((setting) => !ofNetwork(setting))),
    },
  };
  return { config: changed, sysctl: Object.fromEntries(settings.filter(ofNetwork)), ...(setKey ? { setKey } : {}) };
}
