import { explain } from '../../driver/host/errors.ts';
import { until } from '../../driver/host/until.ts';
import { NETWORK, docker, removeContainers } from '../../lab/demo/stage.ts';
import type { Lab } from '../../lab/lab.ts';
import { connectByHand, disconnectAll } from './handmade.ts';

/** One way for frames between a container of h1, which serves, and one of h2, or for comparison one beside it. */
interface Way {
  name: 'coat' | 'hand' | 'bridge' | 'swarm';
  server: string;
  client: string;
  /** Of the client: where it is not h2, nothing passes between hosts. */
  on: 'h1' | 'h2';
  /** Of the server. */
  address: string;
}

/** What one round saw; a round is first one way and then the other, and every second one the other way round. */
export interface Round {
  /** TCP, bits a second. */
  throughput: Record<'coat' | 'hand', number> & { bridge?: number; swarm?: number };
  /** There and back of 64 bytes over TCP, µs: the median of one measurement. */
  latency: Record<'coat' | 'hand', number> & { bridge?: number; swarm?: number };
}

export interface TrafficOptions {
  rounds: number;
  /** Also Docker's bridge, on one host, and Docker's own overlay, where it runs. */
  docker?: true;
  /** How long each measurement takes, s. */
  seconds: number;
  signal: AbortSignal;
  tell: (done: number) => void;
  /** Told why Docker's overlay could not be had. */
  without?: (why: string) => void;
}

const IMAGE = 'coat-lab/workloads';
const SOCKPERF_PORT = '11111';
const SERVERS = `iperf3 -s >/dev/null & exec sockperf server --tcp -p ${SOCKPERF_PORT} >/dev/null`;
/** The containers that are connected by hand are on a network of Docker's, as those of coat are: so all have the rules of Docker's resolver. */
const ISLAND = 'bench-island';
const NAMES = ['bench-coat-server', 'bench-coat-client', 'bench-hand-server', 'bench-hand-client'] as const;
const [BESIDE, ...SWARM_NAMES] = ['bench-bridge-client', 'bench-swarm-server', 'bench-swarm-client'] as const;
const SWARM = 'bench-swarm';

/** Throughput and latency of a coat network and of bridge and VXLAN by hand, in turn, between the same two hosts. */
export async function measureTraffic(lab: Lab, { rounds, seconds, signal, tell, docker: more, without = () => undefined }: TrafficOptions): Promise<Round[]> {
  await removeTraffic(lab);
  try {
    const ways = await prepare(lab, signal);
    if (more) ways.push(await besideIt(lab, signal), ...(await swarm(lab, signal, without)));
    const found: Round[] = [];
    for (let index = 0; index < rounds; index += 1) {
      const round: Round = { throughput: { coat: 0, hand: 0 }, latency: { coat: 0, hand: 0 } };
      const turn = index % 2 === 0 ? ways : [...ways].reverse();
      for (const way of turn) round.throughput[way.name] = await throughput(lab, way, seconds, signal);
      for (const way of turn) round.latency[way.name] = await latency(lab, way, seconds, signal);
      found.push(round);
      tell(index + 1);
    }
    return found;
  } finally {
    await removeTraffic(lab);
  }
}

async function removeTraffic(lab: Lab): Promise<void> {
  await disconnectAll(lab);
  await removeContainers(lab, [...NAMES, BESIDE, ...SWARM_NAMES]);
  await lab.host('h1').exec(['docker', 'network', 'rm', SWARM], { okCodes: [0, 1] });
  await Promise.all(lab.hosts.map((host) => host.exec(['docker', 'swarm', 'leave', '--force'], { okCodes: [0, 1] })));
  await Promise.all(lab.hosts.map((host) => host.exec(['docker', 'network', 'rm', ISLAND], { okCodes: [0, 1] })));
}

async function prepare(lab: Lab, signal: AbortSignal): Promise<Way[]> {
  const [h1, h2] = [lab.host('h1'), lab.host('h2')];
  const [coatServer, coatClient, handServer, handClient] = NAMES;
  const start = (host: typeof h1, name: string, network: string, command: string): Promise<string> =>
    docker(host, ['run', '--detach', '--init', '--name', name, '--network', network, IMAGE, 'sh', '-c', command], signal);
  await Promise.all([h1, h2].map((host) => docker(host, ['network', 'create', '--internal', ISLAND], signal)));
  await Promise.all([start(h1, coatServer, NETWORK, SERVERS), start(h2, coatClient, NETWORK, 'sleep infinity')]);
  await Promise.all([start(h1, handServer, ISLAND, SERVERS), start(h2, handClient, ISLAND, 'sleep infinity')]);
  const mtu = Number(await docker(h1, ['exec', coatServer, 'cat', '/sys/class/net/eth0/mtu'], signal));
  await connectByHand({ host: h1, container: handServer, address: '10.99.0.1/24', peer: h2.address, mtu });
  await connectByHand({ host: h2, container: handClient, address: '10.99.0.2/24', peer: h1.address, mtu });
  const coatAddress = await docker(h1, ['inspect', '--format', `{{(index .NetworkSettings.Networks "${NETWORK}").IPAddress}}`, coatServer], signal);
  const ways: Way[] = [{ name: 'coat', server: coatServer, client: coatClient, on: 'h2', address: coatAddress }, { name: 'hand', server: handServer, client: handClient, on: 'h2', address: '10.99.0.1' }];
  for (const way of ways) await answering(lab, way, signal);
  return ways;
}

const answering = (lab: Lab, { name, client, on, address }: Way, signal: AbortSignal): Promise<boolean> =>
  until(`the server behind ${name}`, async () => (await lab.host(on).exec(['docker', 'exec', client, 'iperf3', '-c', address, '-t', '1'], { okCodes: [0, 1], signal })).code === 0, { timeout: 20_000, signal });

/** A container of the same host, on a network of Docker's bridge driver with the server. */
async function besideIt(lab: Lab, signal: AbortSignal): Promise<Way> {
  const [h1, server] = [lab.host('h1'), NAMES[2]];
  await docker(h1, ['run', '--detach', '--init', '--name', BESIDE, '--network', ISLAND, IMAGE, 'sleep', 'infinity'], signal);
  const address = await docker(h1, ['inspect', '--format', `{{(index .NetworkSettings.Networks "${ISLAND}").IPAddress}}`, server], signal);
  return { name: 'bridge', server, client: BESIDE, on: 'h1', address };
}

/** Docker's own overlay; where a kernel or an engine has none, nothing. */
async function swarm(lab: Lab, signal: AbortSignal, without: (why: string) => void): Promise<Way[]> {
  const [h1, h2, [server, client]] = [lab.host('h1'), lab.host('h2'), SWARM_NAMES];
  try {
    await docker(h1, ['swarm', 'init', '--advertise-addr', h1.address], signal);
    await docker(h2, ['swarm', 'join', '--token', await docker(h1, ['swarm', 'join-token', '--quiet', 'worker'], signal), h1.address], signal);
    await docker(h1, ['network', 'create', '--driver', 'overlay', '--attachable', SWARM], signal);
    await docker(h1, ['run', '--detach', '--init', '--name', server, '--network', SWARM, IMAGE, 'sh', '-c', SERVERS], signal);
    await docker(h2, ['run', '--detach', '--init', '--name', client, '--network', SWARM, IMAGE, 'sleep', 'infinity'], signal);
    const address = await docker(h1, ['inspect', '--format', `{{(index .NetworkSettings.Networks "${SWARM}").IPAddress}}`, server], signal);
    const way: Way = { name: 'swarm', server, client, on: 'h2', address };
    await answering(lab, way, signal);
    return [way];
  } catch (error) {
    signal.throwIfAborted();
    without(explain(error));
    return [];
  }
}

async function throughput(lab: Lab, { client, on, address }: Way, seconds: number, signal: AbortSignal): Promise<number> {
  const text = await docker(lab.host(on), ['exec', client, 'iperf3', '-J', '-c', address, '-t', String(seconds), '-O', '1'], signal);
  return (JSON.parse(text) as { end: { sum_received: { bits_per_second: number } } }).end.sum_received.bits_per_second;
}

async function latency(lab: Lab, { client, on, address }: Way, seconds: number, signal: AbortSignal): Promise<number> {
  const text = await docker(lab.host(on), ['exec', client, 'sockperf', 'ping-pong', '--tcp', '--full-rtt', '-m', '64', '-i', address, '-p', SOCKPERF_PORT, '-t', String(seconds)], signal);
  return readLatency(text);
}

/** The median that sockperf prints, µs. */
export function readLatency(text: string): number {
  const found = /percentile 50\.000 += +([\d.]+)/.exec(text)?.[1];
  if (found === undefined) throw new Error(`sockperf said nothing of a median: ${text.slice(-300)}`);
  return Number(found);
}
