import type Docker from 'dockerode';
import { apiOf } from './connection.ts';
import { inVersion } from './version.ts';
import { type ContainerEvent, watchContainer } from './watch.ts';

/** What `docker inspect` says of a container, as far as a move reads it; the rest is passed on as it is. */
export interface Inspect {
  Id: string;
  Name: string;
  Image: string;
  State: { Status: string; Running: boolean; Paused: boolean; Restarting: boolean; Pid: number };
  Config: Record<string, unknown> & { Image: string; Hostname: string; Tty: boolean; OpenStdin: boolean };
  HostConfig: Record<string, unknown> & {
    NetworkMode: string;
    PidMode: string;
    IpcMode: string;
    UsernsMode: string;
    Privileged: boolean;
    Init?: boolean | null;
    AutoRemove: boolean;
    RestartPolicy: RestartPolicy;
    Devices: unknown[] | null;
    DeviceRequests: unknown[] | null;
    Runtime: string;
    LogConfig: { Type: string; Config: Record<string, string> | null };
  };
  Mounts: { Type: string; Source: string; Destination: string; Name?: string; RW?: boolean }[];
  GraphDriver: { Name: string; Data: Record<string, string> | null };
  NetworkSettings: { Networks: Record<string, EndpointSettings> };
}

export interface EndpointSettings {
  IPAMConfig?: { IPv4Address?: string; IPv6Address?: string } | null;
  Links?: string[] | null;
  Aliases?: string[] | null;
  DriverOpts?: Record<string, string> | null;
  GwPriority?: number;
  NetworkID: string;
  IPAddress: string;
  IPPrefixLen: number;
  /** Empty where the network has no IPv6. */
  GlobalIPv6Address: string;
  GlobalIPv6PrefixLen: number;
  MacAddress: string;
}

export interface RestartPolicy {
  Name?: string | undefined;
  MaximumRetryCount?: number | undefined;
}

export interface EngineFacts {
  version: string;
  /** Version of its API that is spoken. */
  api: string;
  storage: string;
  runtimes: string[];
  memory: number;
  /** Where it keeps its files, on the host. */
  root: string;
  volumeDrivers: string[];
}

/** A running container, in a list. */
export interface Running {
  id: string;
  name: string;
  /** Docker's ids of the networks it is on. */
  networks: string[];
}

/** The few things a move asks of the engine. */
export interface Containers {
  /** `undefined` where there is none. */
  inspect(ref: string): Promise<Inspect | undefined>;
  /** @param body in the words of the newest API that is spoken */
  create(name: string, body: Record<string, unknown>): Promise<string>;
  start(id: string): Promise<void>;
  /** Stops and removes it, with its anonymous volumes; one that is gone already is fine. */
  remove(id: string): Promise<void>;
  /** One that has ended is fine. @param signal its number */
  kill(id: string, signal: string): Promise<void>;
  /** See {@link watchContainer}. */
  watch(id: string, on: (event: ContainerEvent) => void): Promise<() => void>;
  /** Those that run. */
  running(): Promise<Running[]>;
  rename(id: string, name: string): Promise<void>;
  setRestartPolicy(id: string, policy: RestartPolicy): Promise<void>;
  facts(): Promise<EngineFacts>;
}

export function createContainers(connect: () => Docker): Containers {
  return {
    inspect: (ref) => unlessAbsent(connect().getContainer(ref).inspect() as unknown as Promise<Inspect>),
    async create(name, body) {
      // dockerode puts every option it does not know into the query string too, secrets of the environment included,
      // unless query and body are told apart
      const docker = connect();
      const container = await docker.createContainer({ _query: { name }, _body: inVersion(await apiOf(docker), body) } as never);
      return container.id;
    },
    async start(id) {
      await connect().getContainer(id).start();
    },
    async remove(id) {
      await unlessAbsent(connect().getContainer(id).remove({ force: true, v: true }));
    },
    async kill(id, signal) {
      await unlessAbsent(connect().getContainer(id).kill({ signal }));
    },
    watch: (id, on) => watchContainer(connect(), id, on),
    async running() {
      const all = await connect().listContainers();
      return all.map(({ Id, Names, NetworkSettings }) => ({ id: Id, name: Names[0]?.slice(1) ?? Id.slice(0, 12), networks: Object.values(NetworkSettings.Networks).map(({ NetworkID }) => NetworkID) }));
    },
    async rename(id, name) {
      await connect().getContainer(id).rename({ name });
    },
    async setRestartPolicy(id, policy) {
      await connect().getContainer(id).update({ RestartPolicy: policy });
    },
    async facts() {
      const docker = connect();
      const info = (await docker.info()) as { ServerVersion: string; Driver: string; Runtimes: Record<string, unknown>; MemTotal: number; DockerRootDir: string; Plugins?: { Volume?: string[] | null } };
      return { version: info.ServerVersion, api: await apiOf(docker), storage: info.Driver, runtimes: Object.keys(info.Runtimes ?? {}), memory: info.MemTotal, root: info.DockerRootDir, volumeDrivers: info.Plugins?.Volume ?? ['local'] };
    },
  };
}

async function unlessAbsent<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    const { statusCode } = error as { statusCode?: number };
    // 409 while the engine removes it already, or when there is nothing to send a signal to
    if (statusCode === 404 || (statusCode === 409 && /removal .* in progress|is not running/i.test((error as Error).message))) return undefined;
    throw error;
  }
}
