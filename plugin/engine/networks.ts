import type Docker from 'dockerode';
import { CoatError } from '../../driver/host/errors.ts';
import { familyOf } from '../../driver/ipam/address.ts';
import type { NewNetwork } from '../agent/api.ts';
import { engineError, statusOf } from './connection.ts';

/** The driver's name at the engine, for networks and for their addresses. */
const DRIVER = 'coat';

/** A network as an engine has it. */
export interface EngineNetwork {
  id: string;
  name: string;
  /** Of our driver; of the others only the name matters. */
  ours: boolean;
  /** Of IPv4. */
  subnet: string | undefined;
}

/** What a network is made from. */
export interface NetworkPlan {
  name: string;
  subnet: string;
  gateway: string;
  /** IPv6 beside it. */
  second?: { subnet: string; gateway: string } | undefined;
  options: Record<string, string>;
  internal: boolean;
  /** For its address driver (`--ipam-opt`). */
  ipamOptions: Record<string, string>;
  labels: Record<string, string>;
}

/** A container on one of an engine's networks. */
export interface Attached {
  container: string;
  /** Everything the engine's own containers find it by there: the container's name first, then aliases and the short id. None while it is being made. */
  names: string[];
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

/** An engine does not describe a container while it starts it, and the others are not to wait for that; ms. */
const INSPECT_MS = 2_000;

/**
 * As `docker network create -d coat --ipam-driver coat`: without the second a network has Docker's own addresses, and a driver cannot
 * change that.
 *
 * @returns its id
 * @throws CoatError `engine-refused` with the engine's words, which may be ours; `engine-away`
 */
export async function createAsked(docker: Docker, { name, subnets, gateways, ipv6, internal, options }: NewNetwork): Promise<string> {
  const gateway = (subnet: string): string | undefined => gateways.find((each) => familyOf(each) === familyOf(subnet));
  const config = subnets.map((subnet) => ({ Subnet: subnet, ...(gateway(subnet) === undefined ? {} : { Gateway: gateway(subnet) }) }));
  const body = { Name: name, Driver: DRIVER, CheckDuplicate: true, Internal: internal, EnableIPv6: ipv6, IPAM: { Driver: DRIVER, Config: config }, Options: options };
  const network = await docker.createNetwork(body).catch((error: unknown) => {
    const said = (error as { json?: { message?: unknown } }).json?.message;
    if (typeof said !== 'string') throw engineError(`to create the network ${name}`, error);
    throw new CoatError('engine-refused', `the network ${name} was not created: ${said.replace(/\s*\n\s*/g, ' ')}`, { hint: 'docker coat network ls shows those there are', cause: error });
  });
  return network.id;
}

/** The label by which compose says what a container is one of. */
const SERVICE = 'com.docker.compose.service';

export function createNetworks(docker: Docker): EngineNetworks {
  /** By endpoint and name: what else there is does not change while an endpoint lasts. */
  const names = new Map<string, string[]>();

  /** @returns `undefined` for a container that is not there: not any more, or its endpoint was made first; or the engine does not say, being about to start it */
  async function namesOf(id: string, network: string, main: string): Promise<string[] | undefined> {
    const patience = AbortSignal.timeout(INSPECT_MS);
    const found = await docker.getContainer(id).inspect({ abortSignal: patience }).catch((error: unknown) => {
      if (statusOf(error) === 404 || patience.aborted) return undefined;
      throw engineError(`to describe the container ${main}`, error);
    });
    if (!found) return undefined;
    const settings = Object.values(found.NetworkSettings.Networks).find(({ NetworkID }) => NetworkID === network) as { Aliases?: string[] | null; DNSNames?: string[] | null } | undefined;
    const service = found.Config.Labels?.[SERVICE];
    return [...new Set([main, ...(settings?.Aliases ?? []), ...(service ? [service] : []), ...(settings?.DNSNames ?? [])])];
  }

  return {
    async list() {
      const all = await docker.listNetworks().catch((error: unknown) => {
        throw engineError('the list of networks', error);
      });
      return all.map(({ Id, Name, Driver, IPAM }) => ({ id: Id, name: Name, ours: Driver === DRIVER, subnet: IPAM?.Config?.find(({ Subnet }) => Subnet && familyOf(Subnet) === 4)?.Subnet }));
    },
    async create(plan) {
      const body = {
        Name: plan.name,
        // up to API 1.43 an engine makes a second one of the same name otherwise
        CheckDuplicate: true,
        Driver: DRIVER,
        Internal: plan.internal,
        ...(plan.second === undefined ? {} : { EnableIPv6: true }),
        IPAM: { Driver: DRIVER, Options: plan.ipamOptions, Config: [plan, ...(plan.second === undefined ? [] : [plan.second])].map(({ subnet, gateway }) => ({ Subnet: subnet, Gateway: gateway })) },
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
      })) as { Containers?: Record<string, { Name: string; EndpointID: string; IPv4Address: string }> };
      const all: Attached[] = [];
      const prefix = `${id} `;
      const current = new Set<string>();
      for (const [container, { Name, EndpointID, IPv4Address }] of Object.entries(found.Containers ?? {})) {
        const key = `${prefix}${EndpointID} ${Name}`;
        const its = names.get(key) ?? (await namesOf(container, id, Name));
        if (its) names.set(key, its);
        current.add(key);
        all.push({ container: Name, names: its ?? [], ip: IPv4Address.split('/')[0] ?? '', endpoint: EndpointID });
      }
      for (const key of names.keys()) if (key.startsWith(prefix) && !current.has(key)) names.delete(key);
      return all;
    },
  };
}
