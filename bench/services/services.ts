import { until } from '../../driver/host/until.ts';
import { docker } from '../../lab/demo/stage.ts';
import type { LabHost } from '../../lab/host.ts';
import type { Line } from './peer.ts';
import { askedDuring, readDatagrams, readRates, readStretches, streamedDuring, type Seen, type Window } from './read.ts';

/** What became of a service's client, all in all. */
export interface Outcome {
  /** What each move was to it, as far as it can be told. */
  seen: (Seen | undefined)[];
  /** Connections, or datagrams. */
  lost: number;
  /** Of how many. */
  of: number;
  /** Retransmission time-outs of its kernel, where it counts them. */
  timeouts?: number;
  problems: string[];
}

/** A program as one installs it, with a client as one has it. */
export interface Service {
  about: string;
  /** Its command in the image `coat-lab/workloads`. */
  server: readonly string[];
  /** Waits until it can be asked. */
  ready: (host: LabHost, name: string, signal: AbortSignal) => Promise<unknown>;
  client: (address: string) => readonly string[];
  /** What the client's line begins with that says it is at work. */
  atWork: string;
  /** How the client is ended so that it says what it has seen. */
  end: NodeJS.Signals;
  /** Between two moves, ms. */
  pause: number;
  /** Moves of a whole run, and of a quick one. */
  moves: readonly [whole: number, quick: number];
  read: (lines: readonly Line[], moves: readonly (Window & { blackout: number })[]) => Outcome;
}

const KEYS = 200_000;
/** What a stream carries, Mbit/s: the same at all times, so that it can be told when it does again. */
const RATE = 500;
/** Longer than any run. */
const SECONDS = '3600';

const logged = (text: string) => (host: LabHost, name: string, signal: AbortSignal) =>
  until(`"${text}" from ${name}`, async () => (await docker(host, ['logs', name], signal)).includes(text), { timeout: 60_000, every: 100, signal });
const listening = (port: string) => (host: LabHost, name: string, signal: AbortSignal) =>
  until(`${name} to listen at ${port}`, async () => (await docker(host, ['exec', name, 'ss', '-lntu'], signal)).includes(`:${port} `), { timeout: 20_000, every: 100, signal });

/** What bench/programs/ask.py printed. */
const asked: Service['read'] = (lines, moves) => {
  const stretches = readStretches(lines);
  const of = (word: string): string[] => lines.flatMap(({ text }) => (text.startsWith(`${word} `) ? [text.slice(word.length + 1)] : []));
  const lost = of('lost');
  return { seen: moves.map((move) => askedDuring(stretches, move)), lost: lost.length, of: 1, timeouts: Number(of('timeouts')[0] ?? NaN), problems: lost };
};

/** What `iperf3` printed. */
const streamed: Service['read'] = (lines, moves) => {
  const rates = readRates(lines);
  const problems = lines.flatMap(({ text }) => (/^iperf3: error/.test(text) && !/interrupt/.test(text) ? [text] : []));
  return { seen: moves.map((move) => streamedDuring(rates, move, move.blackout)), lost: problems.length, of: 1, problems };
};

const ask = (what: string, ...more: string[]) => (address: string): string[] => ['python3', '-u', '/share/ask.py', what, address, ...more];
const stream = (...more: string[]) => (address: string): string[] =>
  ['iperf3', '--client', address, '--time', SECONDS, '--interval', '0.1', '--format', 'm', '--forceflush', '--bitrate', `${RATE}M`, ...more];

export const SERVICES: Readonly<Record<string, Service>> = {
  redis: {
    about: 'Redis with 256 MiB, reads and writes of 1 KiB in turn, 1000 a second', end: 'SIGTERM', pause: 2_500, moves: [20, 3], atWork: 'connected',
    server: ['redis-server', '--save', '', '--protected-mode', 'no', '--bind', '0.0.0.0', '--enable-debug-command', 'yes'],
    ready: async (host, name, signal) => {
      await logged('Ready to accept connections')(host, name, signal);
      await docker(host, ['exec', name, 'redis-cli', 'debug', 'populate', String(KEYS), 'key', '1024'], signal);
    },
    client: ask('redis', '--keys', String(KEYS)), read: asked,
  },
  memory: {
    about: 'an echo server with 1 GiB resident, 1000 requests a second', end: 'SIGTERM', pause: 4_000, moves: [20, 2], atWork: 'connected',
    server: ['python3', '/share/echo.py', '--mb', '1024'], ready: logged('ready'), client: ask('echo'), read: asked,
  },
  upload: {
    about: `an iperf3 stream of ${RATE} Mbit/s to the service`, end: 'SIGINT', pause: 1_000, moves: [200, 3], atWork: '[  5]   0.00',
    server: ['iperf3', '--server'], ready: listening('5201'), client: stream(), read: streamed,
  },
  download: {
    about: `an iperf3 stream of ${RATE} Mbit/s from the service`, end: 'SIGINT', pause: 1_000, moves: [20, 3], atWork: '[  5]   0.00',
    server: ['iperf3', '--server'], ready: listening('5201'), client: stream('--reverse'), read: streamed,
  },
  datagrams: {
    about: 'sockperf over UDP, 1000 datagrams a second, each answered', end: 'SIGINT', pause: 500, moves: [20, 3], atWork: 'sockperf:',
    server: ['sockperf', 'server', '-p', '11111'], ready: listening('11111'),
    client: (address) => ['sockperf', 'under-load', '-i', address, '-p', '11111', '--mps', '1000', '--reply-every', '1', '-m', '64', '-t', SECONDS],
    read: (lines, moves) => {
      const { sent, lost, doubled, disordered } = readDatagrams(lines);
      const problems = [...(doubled > 0 ? [`${doubled} datagrams came twice`] : []), ...(disordered > 0 ? [`${disordered} datagrams came out of order`] : [])];
      return { seen: moves.map(() => undefined), lost, of: sent, problems };
    },
  },
};
