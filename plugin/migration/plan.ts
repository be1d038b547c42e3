import os from 'node:os';
import { CoatError } from '../../driver/host/errors.ts';
import type { MigrationRequest, Strategy } from '../agent/api.ts';
import { findContainer, type RunningContainer } from '../criu/container.ts';
import { whyNotLazy } from '../criu/features.ts';
import { processes } from '../criu/freezer.ts';
import type { Inspect } from '../engine/containers.ts';
import { whyNotAhead } from '../memory/features.ts';
import type { WantedImage } from '../engine/images.ts';
import { cpuFeatures } from './cpu.ts';
import { anonymousMemory, criuFacts, interfaceNames, limitsReadable, residentMemory, stopped, undumpable } from './facts.ts';
import { ignoresOf } from './ignore.ts';
import { registryDigests } from './image.ts';
import { measureLink } from './link.ts';
import { findLog, type LogPlace } from './log/place.ts';
import { type Length, lengthOf } from './log/send.ts';
import { namelessFiles } from './nameless.ts';
import type { MoverDependencies } from './ports.ts';
import { nameOf, refusalAtSource } from './preflight.ts';
import type { Endpoint, Verdict } from './protocol.ts';
import { execSessions } from './sessions.ts';
import { chooseStrategy, DEFAULT_STRATEGY } from './strategy.ts';
import { undumpableSockets } from './sockets.ts';
import { Trees } from './trees.ts';
import { boundBy, type CarriedVolume, carriedVolumes, type VolumeFacts } from './volumes.ts';

/** Everything a move knows before it touches anything. */
export interface Plan {
  name: string;
  inspect: Inspect;
  image: WantedImage;
  container: RunningContainer;
  endpoints: Endpoint[];
  volumes: CarriedVolume[];
  trees: Trees;
  /** Its log, where it goes along, and how long that was. */
  log: { place: LogPlace; length: Length } | undefined;
  /** What `docker exec` has started in it, which will not move. */
  ending: string[];
  memory: number;
  /** What of it is carried in the blackout, bytes. */
  carried: number;
  strategy: Strategy;
  /** Whether it may run before all of its memory is there, where that does not come ahead. */
  mayFollow: boolean;
  verdict: Verdict;
  /** Other hosts that answer; the redirect waits for these only. */
  reachable: string[];
}

/** How long a host may take to say that it is there, ms. */
const PROBE_MS = 2_000;

/**
 * Looks at both hosts.
 *
 * @throws CoatError with the first reason why the container cannot move; nothing was touched then
 */
export async function planMove(deps: MoverDependencies, { container: ref, to, strategy: wanted = DEFAULT_STRATEGY, volumes: how = 'copy', ignoreCpu = false }: MigrationRequest): Promise<Plan> {
  const { containers, images, layers, overlay, host, self, peers, criu } = deps;
  const inspect = await containers.inspect(ref);
  const onEngine = overlay.networksOnEngine();
  const attached = Object.entries(inspect?.NetworkSettings.Networks ?? {});
  const container = inspect?.State.Running ? await findContainer(host, inspect.Id) : undefined;
  const pids = container ? await processes(host, container) : [];
  const volumeFacts = inspect ? await factsOfVolumes(deps, inspect) : [];
  const image = inspect && (await images.inspect(inspect.Image));
  const refusal = refusalAtSource({
    self,
    to,
    ref,
    inspect,
    hosts: overlay.hosts(),
    coatNetworks: new Set(attached.filter(([, { NetworkID }]) => onEngine.has(NetworkID)).map(([name]) => name)),
    undumpable: [...(await undumpable(host, pids)), ...(container ? await undumpableSockets(host, container.pid, pids) : [])],
    nameless: await namelessFiles(host, pids),
    stopped: container !== undefined && (await stopped(host, container, pids)),
    limitsReadable: await limitsReadable(host, pids),
    criu: await criuFacts(criu),
    kernel: os.release(),
    imageThere: image !== undefined,
    volumes: volumeFacts,
    how,
  });
  if (refusal) throw refusal;
  if (!inspect || !image || !container) throw new CoatError('not-running', `${ref} is not running`);
  const volumes = carriedVolumes(volumeFacts, how, { name: nameOf(inspect), self });
  if (volumes instanceof CoatError) throw volumes;
  const ending = await execSessions(host, container.pid, pids, inspect.Config);
  const ignores = await ignoresOf(host, container.pid, inspect.Config['Labels']);
  const trees = await Trees.look(host, inspect, await layers.of(inspect), volumes, ignores, () => processes(host, container));

  const place = await findLog(containers, inspect);
  const log = place && { place, length: await lengthOf(host, place) };

  const names = await interfaceNames(host, container.pid);
  const endpoints = attached.map(([name, settings]): Endpoint => ({
    name,
    network: onEngine.get(settings.NetworkID)!,
    ip: settings.IPAddress,
    prefixLength: settings.IPPrefixLen,
    ...(settings.GlobalIPv6Address ? { ip6: settings.GlobalIPv6Address, prefixLength6: settings.GlobalIPv6PrefixLen } : {}),
    mac: settings.MacAddress,
    interfaceName: names.get(settings.IPAddress) ?? 'eth0',
  }));
  const memory = await residentMemory(host, pids);
  const { size, ...known } = image;
  const carriedImage: WantedImage = { ...known, digests: await registryDigests(deps, inspect.GraphDriver.Name, known.digests), ref: inspect.Config.Image };
  const verdict = await peers.get(to).call<Verdict>('/v1/moves/check', {
    container: nameOf(inspect),
    image: carriedImage,
    networks: endpoints.map(({ name, network }) => ({ name, network })),
    binds: [...inspect.Mounts.filter(({ Type }) => Type === 'bind').map(({ Source }) => Source), ...boundBy(volumes)],
    architecture: os.arch(),
    cpu: ignoreCpu ? [] : await cpuFeatures(host),
    memory,
    volumes,
    room: { volumes: trees.room().volumes, layer: trees.room().layer + (log?.length.size ?? 0), image: size },
  });
  const lazy = await anonymousMemory(host, pids);
  const notLazyHere = wanted === 'cold' ? undefined : await whyNotLazy(host, await criu.find());
  const notAhead = wanted === 'cold' ? undefined : await whyNotAhead();
  const link = wanted === 'auto' ? await measureLink(peers.get(to)) : undefined;
  const chosen = chooseStrategy({ wanted, lazy, ...(link === undefined ? {} : { link }), hosts: { [self]: notLazyHere, [to]: verdict.notLazy }, notAhead });
  if (chosen instanceof CoatError) throw chosen;
  const carried = chosen === 'cold' ? memory : Math.max(0, memory - lazy);
  const answers = await Promise.all(
    peers.others().map((peer) => peer.call('/v1/settled', { revision: 0 }, { timeout: PROBE_MS }).then(() => peer.name, () => undefined)),
  );
  return { name: nameOf(inspect), inspect, image: carriedImage, container, endpoints, volumes, trees, log, ending, memory, carried, strategy: chosen, mayFollow: wanted === 'auto', verdict, reachable: answers.filter((name) => name !== undefined) };
}

/** The volumes of a container, each once, and who else has them. */
async function factsOfVolumes({ volumes }: MoverDependencies, inspect: Inspect): Promise<VolumeFacts[]> {
  const names = new Set(inspect.Mounts.flatMap(({ Type, Name }) => (Type === 'volume' && Name !== undefined ? [Name] : [])));
  const facts = await Promise.all([...names].map(async (name): Promise<VolumeFacts[]> => {
    const volume = await volumes.inspect(name);
    return volume ? [{ volume, others: (await volumes.users(name)).filter((user) => user !== nameOf(inspect)) }] : [];
  }));
  return facts.flat();
}
