import { CoatError } from '../../driver/host/errors.ts';
import type { VolumesHow } from '../agent/api.ts';
import { GHOSTS } from '../criu/dump.ts';
import type { Inspect } from '../engine/containers.ts';
import { isStore } from '../engine/layers.ts';
import { oneNetwork, takesNetworks } from '../engine/version.ts';
import { RUNTIME } from './spec.ts';
import type { Nameless } from './nameless.ts';
import type { Offer } from './protocol.ts';
import { carriedVolumes, refusedVolumes, type VolumeFacts, type VolumeThere } from './volumes.ts';

/** What the source looks at before it touches anything. */
export interface SourceFacts {
  self: string;
  to: string;
  hosts: readonly string[];
  /** What the user called the container. */
  ref: string;
  inspect: Inspect | undefined;
  /** Names of the networks that are coat's. */
  coatNetworks: ReadonlySet<string>;
  /** Names under which file descriptors of its processes go that CRIU cannot dump. */
  undumpable: readonly string[];
  nameless: Nameless;
  /** Whether a process is stopped where CRIU would wait for it for ever. */
  stopped: boolean;
  /** Whether CRIU may read the limits of its processes. */
  limitsReadable: boolean;
  criu: { version: string } | { problem: string };
  kernel: string;
  imageThere: boolean;
  volumes: readonly VolumeFacts[];
  how: VolumesHow;
}

type Refusal = CoatError;
const refuse = (code: string, message: string, hint: string): Refusal => new CoatError(code, message, { hint });

/** The first reason why this container cannot leave this host, or nothing. */
export function refusalAtSource(facts: SourceFacts): Refusal | undefined {
  const { inspect, ref, to, self } = facts;
  if (!facts.hosts.includes(to)) return refuse('unknown-host', `there is no host ${to}`, `the hosts are ${facts.hosts.join(', ')}`);
  if (!inspect) return refuse('no-container', `there is no container ${ref} on ${self}`, 'docker coat ls shows which host has it; run docker coat migrate there');
  const name = nameOf(inspect);
  if (to === self) return refuse('already-there', `${name} is on ${self} already`, 'name another host (docker coat ls)');
  if (inspect.State.Paused) return refuse('paused', `${name} is paused`, `docker unpause ${name} first`);
  if (inspect.State.Restarting) return refuse('restarting', `${name} is restarting`, 'wait until it runs');
  if (!inspect.State.Running) return refuse('not-running', `${name} is not running`, `docker start ${name} first, or just create it on ${to}`);
  return refusedMode(inspect, name) ?? refusedNetworks(facts, inspect, name) ?? refusedMounts(facts, inspect, name) ?? refusedHost(facts, inspect, name);
}

function refusedMode({ HostConfig }: Inspect, name: string): Refusal | undefined {
  if (HostConfig.Privileged) return refuse('privileged', `${name} is privileged, and its devices belong to this host`, 'run it without --privileged');
  if (HostConfig.PidMode) return refuse('pid-mode', `${name} shares the pid namespace ${HostConfig.PidMode}`, 'run it without --pid');
  if (HostConfig.IpcMode === 'host' || HostConfig.IpcMode.startsWith('container:')) {
    return refuse('ipc-mode', `${name} shares the IPC namespace ${HostConfig.IpcMode}`, 'run it without --ipc');
  }
  if (HostConfig.Devices?.length || HostConfig.DeviceRequests?.length) return refuse('devices', `${name} uses devices of this host`, 'run it without --device and --gpus');
  return undefined;
}

function refusedNetworks({ coatNetworks }: SourceFacts, inspect: Inspect, name: string): Refusal | undefined {
  const networks = Object.keys(inspect.NetworkSettings.Networks);
  const foreign = networks.filter((network) => !coatNetworks.has(network));
  if (networks.length === 0 || foreign.length === networks.length) {
    return refuse('no-coat-network', `${name} is on no coat network`, 'docker network connect a coat network, or run it with --network on one');
  }
  if (foreign.length > 0) return refuse('foreign-network', `${name} is also on ${foreign.join(', ')}, which stays on this host`, `docker network disconnect ${foreign[0]} ${name} first`);
  return undefined;
}

function refusedMounts({ volumes, how, self }: SourceFacts, inspect: Inspect, name: string): Refusal | undefined {
  const carried = carriedVolumes(volumes, how, { name, self });
  if (carried instanceof CoatError) return carried;
  const { Name } = inspect.GraphDriver;
  if (!isStore(Name)) return refuse('storage-driver', `the engine keeps ${name} with the storage driver ${Name}`, 'a move copies what overlayfs has: the engine needs overlay2, or containerd with its snapshotter overlayfs');
  return undefined;
}

function refusedHost(facts: SourceFacts, inspect: Inspect, name: string): Refusal | undefined {
  const criu = refusedCriu(facts.criu, facts.kernel, facts.self);
  if (criu) return criu;
  const [undumpable] = facts.undumpable;
  if (undumpable) return refuse('undumpable', `a process of ${name} uses ${undumpable}, which CRIU cannot carry over`, 'docs/limits.md lists what cannot move, and ways around it');
  const { linked, bytes } = facts.nameless;
  if (linked !== undefined) return refuse('deleted-link', `a process of ${name} holds ${linked} open, which was deleted while the file has another name, and CRIU cannot find it by that`, 'have it open the file by a name that stays');
  if (bytes > GHOSTS) return refuse('deleted-files', `processes of ${name} hold ${mebibytes(bytes)} of deleted files open, and ${mebibytes(GHOSTS)} is what CRIU may carry over`, 'have them close those files');
  if (facts.stopped) return refusedStopped(name);
  if (!facts.limitsReadable) {
    return refuse('no-sys-resource', `${name} runs processes of other users than root, whose limits root of ${facts.self} may not read`, 'CRIU needs CAP_SYS_RESOURCE there; give it to this machine, or run the container as root');
  }
  if (!facts.imageThere) return refuse('image-gone', `the image of ${name} (${inspect.Config.Image}) is no longer on ${facts.self}, so it can neither be found nor sent`, 'pull or load the image here or on the destination first');
  return undefined;
}

export const refusedStopped = (name: string): Refusal =>
  refuse('stopped-process', `a process of ${name} is stopped, and CRIU cannot dump it so from a host with cgroup v1`, `let it go on first: docker kill --signal CONT ${name}, or kill -CONT inside`);

/**
 * Whether this CRIU dumps and restores TCP sockets on this kernel. From Linux 6.16 on it takes CRIU 4.2
 * ("Can't get 1:16 opt" before; measured, docs/limits.md); before that, anything from 3.15 on.
 */
export function refusedCriu(criu: SourceFacts['criu'], kernel: string, host: string): Refusal | undefined {
  if ('problem' in criu) return refuse('no-criu', `CRIU does not work on ${host}: ${criu.problem}`, 'look at the log of the agent there for why the CRIU it carries could not be used');
  const needed = atLeast(kernel, [6, 16]) ? ([4, 2] as const) : ([3, 15] as const);
  if (!atLeast(criu.version, needed)) {
    return refuse('old-criu', `CRIU ${criu.version} on ${host} cannot dump TCP sockets on Linux ${kernel}`, `install criu ${needed.join('.')} or newer on that host`);
  }
  return undefined;
}

/** What the destination looks at. */
export interface DestinationFacts {
  self: string;
  offer: Offer;
  nameTaken: boolean;
  runtimes: readonly string[];
  storage: string;
  /** Version of its engine's API. */
  api: string;
  architecture: string;
  /** What programs use of its processors, see cpu.ts. */
  cpu: readonly string[];
  networks: ReadonlySet<string>;
  missingBinds: readonly string[];
  volumes: ReadonlyMap<string, VolumeThere>;
  volumeDrivers: readonly string[];
  /** What it has no room for on its disk, bytes, and what is free there. */
  disk: { missing: number; free: number };
  memoryAvailable: number;
  criu: SourceFacts['criu'];
  kernel: string;
}

/** The first reason why this container cannot come to this host, or nothing. */
export function refusalAtDestination(facts: DestinationFacts): Refusal | undefined {
  const { self, offer } = facts;
  const name = offer.container;
  if (facts.nameTaken) return refuse('name-taken', `${self} has a container named ${name} already`, `docker rm or rename it there first`);
  if (!facts.runtimes.includes(RUNTIME)) {
    return refuse('no-runtime', `the engine of ${self} does not know the runtime ${RUNTIME}`, 'run docker coat setup there');
  }
  if (!isStore(facts.storage)) return refuse('storage-differs', `${self} keeps containers with ${facts.storage}, and ${name} comes with the layers of an overlayfs`, 'its engine needs overlay2, or containerd with its snapshotter overlayfs');
  if (facts.architecture !== offer.architecture) return refuse('architecture', `${self} is ${facts.architecture}, the source is ${offer.architecture}`, 'processes cannot change the kind of processor');
  if (offer.networks.length > 1 && !takesNetworks(facts.api)) return oneNetwork(self, name);
  const lacking = offer.cpu.filter((feature) => !facts.cpu.includes(feature));
  if (lacking.length > 0) return refuse('cpu', `the processor of ${self} has no ${lacking.slice(0, 5).join(', ')}, which a program of ${name} may have found at its start and use`, 'move it to a host with the same kind of processor or a newer one; --ignore-cpu moves it all the same');
  const missing = offer.networks.find(({ network }) => !facts.networks.has(network));
  if (missing) return refuse('no-network', `${self} does not have the network ${missing.name} yet`, `wait a moment; if it stays so, look at the plugin's log on ${self}`);
  const [bind] = facts.missingBinds;
  if (bind) return refuse('no-mount', `${self} has no ${bind}, which ${name} mounts`, 'create or mount it there first');
  const volumes = refusedVolumes(offer.volumes, facts.volumes, facts.volumeDrivers, self);
  if (volumes) return volumes;
  if (facts.disk.missing > 0) {
    return refuse('no-disk', `${self} has ${mebibytes(facts.disk.free)} free where its engine keeps files, ${mebibytes(facts.disk.missing)} less than ${name} needs`, 'free some there (docker system df), or choose another host');
  }
  if (facts.memoryAvailable < offer.memory * 2) {
    return refuse('no-memory', `${self} has ${mebibytes(facts.memoryAvailable)} of memory free, and ${name} needs twice its ${mebibytes(offer.memory)} while it arrives`, 'free some there, or choose another host');
  }
  return refusedCriu(facts.criu, facts.kernel, self);
}

const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;
export const nameOf = (inspect: Inspect): string => inspect.Name.replace(/^\//, '');

function atLeast(version: string, needed: readonly [number, number]): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return major > needed[0] || (major === needed[0] && minor >= needed[1]);
}
