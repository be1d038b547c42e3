/** The part of an OCI runtime configuration that a restore changes; the rest is passed on as it is. */
export interface OciConfig {
  hooks?: Partial<Record<'prestart' | 'createRuntime', OciHook[]>> & Record<string, unknown>;
  linux: { namespaces: { type: string; path?: string }[] } & Record<string, unknown>;
  [key: string]: unknown;
}

export interface OciHook {
  path: string;
  args?: string[];
  env?: string[];
}

/**
 * Turns the bundle of a container that is to be created into that of one that is to be restored: its network
 * namespace is the one made for it, and a hook tells the container's pid and waits for Docker's `start`.
 *
 * Docker up to 27 plumbs the network in a `prestart` hook, which runs inside `runc restore` and so inside the
 * blackout; it is taken out and returned, for the agent to run it early. Later engines plumb by themselves.
 */
export function arrivalBundle(config: OciConfig, netns: string, door: { path: string; directory: string }): { config: OciConfig; setKey?: OciHook } {
  const isSetKey = (hook: OciHook): boolean => hook.args?.[0] === 'libnetwork-setkey';
  const prestart = config.hooks?.prestart ?? [];
  const setKey = prestart.find(isSetKey);
  const changed: OciConfig = {
    ...config,
    hooks: {
      ...config.hooks,
      prestart: prestart.filter((hook) => !isSetKey(hook)),
      createRuntime: [...(config.hooks?.createRuntime ?? []), { path: door.path, args: ['coat-runc', 'coat-hook', door.directory] }],
    },
    linux: {
      ...config.linux,
      namespaces: config.linux.namespaces.map((namespace) => (namespace.type === 'network' ? { ...namespace, path: netns } : namespace)),
    },
  };
  return setKey ? { config: changed, setKey } : { config: changed };
}
