import { join } from 'node:path';
import { CoatError } from '../../driver/host/errors.ts';

/**
 * Every path the agent uses. The plugin has a root of its own and reaches the host's through
 * `hostRoot`, the root of process 1. `onHost` holds paths as programs of the host see them; the
 * others are as this process sees them.
 *
 * No path here may lead through an absolute symbolic link of the host, because such a link would be
 * followed in the plugin's own root: hence /run, never /var/run.
 */
export interface Paths {
  hostRoot: string;
  /** What must survive a restart of the host: etcd's data, the driver's records, journals. */
  state: string;
  driverState: string;
  journals: string;
  /** What became of the moves from and to this host; see ../migration/history.ts. */
  history: string;
  etcdData: string;
  /** Who this host is in a cluster it has founded or joined, with its private key; see cluster/identity.ts. */
  identity: string;
  /** The members of that cluster, as last heard of. */
  members: string;
  /** What the networks of this engine were when last looked at; see networks.ts. */
  networksSeen: string;
  /** tmpfs: gone with the host's restart. */
  runtime: string;
  agentSocket: string;
  /** Images of a container being restored, one directory per migration. */
  restore: (migration: string) => string;
  /** The same as {@link Paths.restore}, as coat-runc and CRIU see it. */
  restoreOnHost: (migration: string) => string;
  /** Where dockerd finds the driver under the name `coat`. */
  aliasSocket: string;
  dockerSocket: string;
  groups: string;
  coatRunc: string;
  /** As the engine's settings name it. */
  coatRuncOnHost: string;
  /** Where the image has it. */
  coatRuncShipped: string;
  /** Holds the CRIU the plugin carries, as programs of the host see it; see carried.ts. */
  criuOnHost: string;
  criuShipped: string;
  /** What the engine's settings were before the runtime was registered; see setup.ts. */
  registration: string;
  /** The socket Docker's plugin manager made the directory of. */
  pluginSocket: string;
  /** etcd's sockets, inside the plugin only: no process of the host can open them by name. */
  etcdSockets: string;
}

const STATE = '/var/lib/coat';
const RUNTIME = '/run/coat';

export function pathsUnder(hostRoot: string): Paths {
  const host = (path: string): string => join(hostRoot, path);
  const restoreOnHost = (migration: string): string => join(RUNTIME, 'restore', checkId(migration));
  return {
    hostRoot,
    state: host(STATE),
    driverState: host(`${STATE}/driver`),
    journals: host(`${STATE}/journals`),
    history: host(`${STATE}/history`),
    etcdData: host(`${STATE}/etcd`),
    identity: host(`${STATE}/identity.json`),
    members: host(`${STATE}/members.json`),
    networksSeen: host(`${STATE}/networks-seen.json`),
    runtime: host(RUNTIME),
    agentSocket: host(`${RUNTIME}/agent.sock`),
    restore: (migration) => host(restoreOnHost(migration)),
    restoreOnHost,
    aliasSocket: host('/run/docker/plugins/coat.sock'),
    dockerSocket: host('/run/docker.sock'),
    groups: host('/etc/group'),
    coatRunc: host(`${STATE}/bin/coat-runc`),
    coatRuncOnHost: `${STATE}/bin/coat-runc`,
    coatRuncShipped: '/usr/lib/coat/coat-runc',
    criuOnHost: `${STATE}/criu`,
    criuShipped: '/usr/lib/coat/criu',
    registration: host(`${STATE}/registration.json`),
    pluginSocket: '/run/docker/plugins/coat.sock',
    etcdSockets: '/run/coat-etcd',
  };
}

/** Lets through only what cannot climb out of a directory: letters, digits, dashes. @throws CoatError `bad-id` */
export function checkId(id: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9-]{0,127}$/.test(id)) return id;
  throw new CoatError('bad-id', `"${id.slice(0, 40)}" cannot be an id`);
}
