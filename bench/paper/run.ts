import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoatError } from '../../driver/host/errors.ts';
import { docker, NETWORK, removeContainers, runArgs } from '../../lab/demo/stage.ts';
import { until } from '../../driver/host/until.ts';
import type { Lab } from '../../lab/lab.ts';
import type { Report } from '../../plugin/agent/api.ts';
import { coat } from '../ways/coat.ts';
import { deepestDip, longestTrip, readIperf, readSockperf, thin, type Point } from './series.ts';

const [SERVER, CLIENT] = ['bench-paper-server', 'bench-paper-client'];
const SOCKPERF_PORT = '11111';
const LOG = 'bench/sockperf.csv';
/** From the client's start until the move is asked for, ms; and how long the client goes on at all, s. */
const [BEFORE_MS, LASTS_S] = [4_500, 10];
/** A point that is drawn stands for so long, s. */
const DRAWN_S = 0.02;

export interface PaperMove {
  report: Report;
  /** Round trips in ms (of which some are left out where they are many), or throughput in Mbit/s, over s. */
  series: readonly Point[];
}

/** The longest time without an answer, or for how long a stream stood still, ms; and when it began, s. */
export const gapOf = (name: Service['name'], { series }: PaperMove): { at: number; ms: number } => (name === 'sockperf' ? longestTrip : deepestDip)(series);

/** The service that moves from the far host to the near one, and its client, which is no other than everybody's. */
export interface Service {
  name: 'sockperf' | 'iperf3';
  server: readonly string[];
  /** Until it can be asked. */
  listening: string;
  client: (address: string) => readonly string[];
  /** Every peak is in it. */
  read: (lab: Lab, printed: string) => Promise<Point[]>;
}

export const SERVICES: readonly Service[] = [
  {
    name: 'sockperf', listening: `:${SOCKPERF_PORT}`,
    server: ['sockperf', 'server', '--tcp', '-p', SOCKPERF_PORT],
    client: (address) => ['sockperf', 'ping-pong', '--tcp', '--full-rtt', '-m', '64', '-i', address, '-p', SOCKPERF_PORT, '-t', String(LASTS_S), '--full-log', `/share/${LOG}`],
    read: async (lab) => thin(readSockperf(await readFile(join(lab.shared, LOG), 'utf8')), DRAWN_S),
  },
  {
    name: 'iperf3', listening: ':5201',
    server: ['iperf3', '--server'],
    client: (address) => ['iperf3', '--client', address, '--time', String(LASTS_S), '--interval', '0.1', '--json'],
    read: async (_, printed) => readIperf(printed),
  },
];

/** Starts the service on the far host, moves it once to the near one while its client is at work, and hears what the client says. */
export async function movePaper(lab: Lab, service: Service, { from, to }: { from: string; to: string }, signal: AbortSignal): Promise<PaperMove> {
  const clear = (): Promise<void> => removeContainers(lab, [SERVER, CLIENT]);
  await clear();
  await rm(join(lab.shared, LOG), { force: true });
  try {
    const far = lab.host(from);
    await docker(far, runArgs(SERVER, ['--detach'], service.server), signal);
    await until(`${service.name} to listen`, async () => (await docker(far, ['exec', SERVER, 'ss', '-ltn'], signal)).includes(service.listening), { timeout: 20_000, every: 100, signal });
    const address = await docker(far, ['inspect', '--format', `{{(index .NetworkSettings.Networks "${NETWORK}").IPAddress}}`, SERVER], signal);
    const child = lab.host('h3').spawn(['docker', ...runArgs(CLIENT, ['--rm'], service.client(address))], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [printed, complaints] = ['', ''];
    child.stdout!.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    child.stderr!.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
    const ended = once(child, 'close', { signal }) as Promise<[number | null]>;
    ended.catch(() => undefined);
    await sleep(BEFORE_MS, undefined, { signal });
    const report = await coat.move(lab, SERVER, from, to, signal);
    const [code] = await ended;
    if (code !== 0) throw new CoatError('bench-paper', `${service.name} ended with ${code}: ${(complaints || printed).trim().slice(-300)}`);
    return { report, series: await service.read(lab, printed) };
  } finally {
    await clear();
  }
}
