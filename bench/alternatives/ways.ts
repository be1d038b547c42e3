import { CoatError } from '../../driver/host/errors.ts';
import { NETWORK, startServer } from '../../lab/demo/stage.ts';
import { until } from '../../driver/host/until.ts';
import type { LabHost } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import { coat } from '../ways/coat.ts';
import { CLIENT_ADDRESS, HAND, SERVER } from './network.ts';

const NAME = 'bench-server';
/** The longest that a move may take, ms: 1 GiB at 100 Mbit/s by what writes it twice. */
const PATIENCE_MS = 600_000;

export interface Step {
  name: string;
  ms: number;
}

/** A way to have on another host what runs on this one. Each has a server of its own for each move. */
export interface Alternative {
  name: string;
  /** What is done, as a reader could do it. */
  about: string;
  /** What `docker run` needs to put a client on the network of the server. */
  network: readonly string[];
  /** How long a client that knows of this way waits for an answer until it makes its connection anew, s. */
  timeout: number;
  /** Starts the server. @returns its address */
  start(lab: Lab, from: LabHost, argv: readonly string[], signal: AbortSignal): Promise<string>;
  /** @throws CoatError when it does not run at the destination */
  move(lab: Lab, from: LabHost, to: LabHost, argv: readonly string[], signal: AbortSignal): Promise<Step[]>;
  /** What any move has left, on any host. */
  remove(hosts: readonly LabHost[]): Promise<void>;
}

const environment = ['env', `name=${NAME}`, `address=${SERVER.address}`, `mac=${SERVER.mac}`];
const HAND_NETWORK = ['--network', HAND, '--ip', CLIENT_ADDRESS];

function coatWay(name: string, about: string, options: readonly string[]): Alternative {
  return {
    name, about, network: ['--network', NETWORK], timeout: 600,
    start: (_, from, argv, signal) => startServer(from, NAME, argv, 'ready', signal),
    move: async (lab, from, to, _, signal) => (await coat.move(lab, NAME, from.name, to.name, signal, options)).phases.map(({ phase, ms }) => ({ name: phase, ms })),
    remove: async (hosts) => void (await Promise.all(hosts.map((host) => host.exec(['docker', 'rm', '--force', NAME], { okCodes: [0, 1] })))),
  };
}

interface Script {
  name: string;
  about: string;
  file: string;
  timeout: number;
  move: (to: string, argv: readonly string[]) => string[];
  logs: string[];
}

function scriptWay({ name, about, file, timeout, move, logs }: Script): Alternative {
  const call = (host: LabHost, argv: readonly string[], signal?: AbortSignal) => host.exec([...environment, `/share/bench/${file}`, ...argv], { timeout: PATIENCE_MS, ...(signal && { signal }) });
  return {
    name, about, network: HAND_NETWORK, timeout,
    start: async (_, from, argv, signal) => {
      await call(from, ['start', ...argv], signal);
      await until('the server to be ready', async () => (await from.exec([...environment, ...logs])).stdout.includes('ready'), { timeout: 60_000, every: 100, signal });
      return SERVER.address;
    },
    move: async (_, from, to, argv, signal) => readSteps((await call(from, move(to.name, argv), signal)).stdout),
    remove: async (hosts) => void (await Promise.all(hosts.map((host) => call(host, ['remove'])))),
  };
}

/** @param text lines `step NANOSECONDS WORDS`, the last of which is the end */
export function readSteps(text: string): Step[] {
  const lines = [...text.matchAll(/^step (\d+) (.*)$/gm)].map(([, at, name]) => ({ at: Number(BigInt(at!) / 1000n) / 1000, name: name! }));
  if (lines.at(-1)?.name !== 'end') throw new CoatError('bench-steps', `a script did not come to its end: ${text.slice(-300)}`);
  return lines.slice(0, -1).map(({ at, name }, index) => ({ name, ms: lines[index + 1]!.at - at }));
}

const LOGS = ['docker', 'logs', NAME];

/** In the order of the report. */
export const ALTERNATIVES: readonly Alternative[] = [
  coatWay('coat', 'docker coat migrate, as it is without options', []),
  coatWay('coat, cold', 'docker coat migrate --strategy cold: all memory goes while the container stands still', ['--strategy', 'cold']),
  scriptWay({
    name: 'podman', file: 'podman.sh', timeout: 600, move: (to) => ['move', to], logs: ['/share/bench/podman.sh', 'logs'],
    about: 'podman container checkpoint --export, copied by ssh, podman container restore --import; bridge and VXLAN by hand (the paper\'s method)',
  }),
  scriptWay({
    name: 'docker checkpoint', file: 'docker.sh', timeout: 600, move: (to, argv) => ['move', to, ...argv], logs: LOGS,
    about: 'docker checkpoint create, copied by ssh, docker start --checkpoint (Docker 26.1, experimental); bridge and VXLAN by hand',
  }),
  scriptWay({
    name: 'stop and start', file: 'docker.sh', timeout: 2, move: (to, argv) => ['restart', to, ...argv], logs: LOGS,
    about: 'docker rm --force here, docker run there, same address, and a client that reconnects; what the server had in memory is lost, and made anew',
  }),
];
