import type Docker from 'dockerode';
import { engineError, statusOf } from './connection.ts';

/** The driver's name at the engine, for networks and for their addresses. */
const DRIVER = 'coat';

/** A network as an engine has it. */
export interface EngineNetwork {
  id: string;
  name: string;
  /** Of our driver; of the others only the name matters. */
  ours: boolean;
  subnet: string | undefined;
}

/** What a network is made from. */
export interface NetworkPlan {
  name: string;
  subnet: string;
  gateway: string;
  options: Record<string, string>;
  internal: boolean;
  labels: Record<string, string>;
}

/** A container on one of an engine's networks. */
export interface Attached {
  container: string;
  /** Without prefix length. */
  ip: string;
  /** Docker's EndpointID. */
  endpoint: string;
}

export interface EngineNetworks {
  list(): Promise<EngineNetwork[]>;
  /** @returns its id. @throws CoatError `engine-refused`, `engine-away` */
  create(plan: NetworkPlan): Promise<string>;
  /** One that is gone already is fine. @throws CoatError `engine-refused` while containers use it */
  remove(id: string): Promise<void>;
  /** The running containers on a network. */
  attached(id: string): Promise<Attached[]>;
}

export function createNetworks(docker: Docker): EngineNetworks {
  return {
    async list() {
      const all = await docker.listNetworks().catch((error: unknown) => {
        throw engineError('the list of networks', error);
      });
      return all.map(({ Id, Name, Driver, IPAM }) => ({ id: Id, name: Name, ours: Driver === DRIVER, subnet: IPAM?.Config?.[0]?.Subnet }));
    },
    async create(plan) {
      const body = {
        Name: plan.name,
        Driver: DRIVER,
        Internal: plan.internal,
        IPAM: { Driver: DRIVER, Config: [{ Subnet: plan.subnet, Gateway: plan.gateway }] },
        Options: plan.options,
        Labels: plan.labels,
      };
      const network = await docker.createNetwork(body).catch((error: unknown) => {
        throw engineError(`to create the network ${plan.name}`, error);
      });
      return network.id;
    },
    async remove(id) {
      await docker.getNetwork(id).remove().catch((error: unknown) => {
        if (statusOf(error) !== 404) throw engineError(`to remove the network ${id.slice(0, 12)}`, error);
      });
    },
    async attached(id) {
      const found = (await docker.getNetwork(id).inspect().catch((error: unknown) => {
        throw engineError(`to describe the network ${id.slice(0, 12)}`, error);
      })) as { Containers?: Record<string, { Name: string; IPv4Address: string; EndpointID: string }> };
      return Object.values(found.Containers ?? {}).map(({ Name, IPv4Address, EndpointID }) => ({ container: Name, ip: IPv4Address.split('/')[0] ?? '', endpoint: EndpointID }));
    },
  };
}
