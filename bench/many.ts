import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../driver/host/errors.ts';
import { NETWORK, removeContainers, startServer } from '../lab/demo/stage.ts';
import type { Lab } from '../lab/lab.ts';
import type { Report } from '../plugin/agent/api.ts';
import { Client } from './alternatives/client.ts';
import { longestIn } from './statistics.ts';
import { coat } from './ways/coat.ts';

const [SERVER, CLIENT] = ['bench-many', 'bench-many-client'];
/** Requests a second of all connections together: what one client with many threads can ask. */
const HZ = 1000;
/** Before a move, ms. */
const PAUSE_MS = 1_000;
/** Until every connection has an answer again, ms. */
const AGAIN_MS = 60_000;

export interface ManyTrial {
  /** Connections, or containers. */
  count: number;
  /** From the first command until the last was done, ms. */
  total: number;
  /** Of each container: the longest time that one of its connections waited for an answer, ms. */
  gaps: number[];
  /** Freeze to thaw of each, ms. */
  blackouts: number[];
  kept: number;
  of: number;
  failures: string[];
}

export interface ManyOptions {
  containers: number;
  /** Of each container. */
  connections: number;
  signal: AbortSignal;
}

/** Moves so many containers at once from h1 to h2, each with so many connections of one client on h3. */
export async function moveMany(lab: Lab, { containers, connections, signal }: ManyOptions): Promise<ManyTrial> {
  const [from, to] = [lab.host('h1'), lab.host('h2')];
  const names = Array.from({ length: containers }, (_, index) => `${SERVER}-${index}`);
  const clear = (): Promise<void> => removeContainers(lab, [...names, CLIENT]);
  await clear();
  try {
    const addresses: string[] = [];
    for (const name of names) addresses.push(await startServer(from, name, ['python3', '/share/echo.py'], 'ready', signal));
    const all = containers * connections;
    // the client deals its connections out in turn: connection i is of container i % containers
    const client = await Client.start({ host: lab.host('h3'), name: CLIENT, network: ['--network', NETWORK], argv: [addresses.join(','), '--connections', String(all), '--hz', String(Math.min(250, HZ / all))], signal });
    await sleep(PAUSE_MS, undefined, { signal });
    const [began, clock] = [Date.now(), performance.now()];
    const ended = await Promise.allSettled(names.map((name) => coat.move(lab, name, from.name, to.name, signal)));
    const total = performance.now() - clock;
    signal.throwIfAborted();
    const failures = ended.flatMap((each) => (each.status === 'rejected' ? [explain(each.reason)] : []));
    await client.heardAgain(AGAIN_MS, signal).catch((error: unknown) => failures.push(explain(error)));
    const now = Date.now();
    await client.stop();
    const reports = ended.flatMap((each): Report[] => (each.status === 'fulfilled' ? [each.value] : []));
    return {
      count: containers === 1 ? connections : containers, total, of: all, failures,
      gaps: names.map((_, index) => longestIn(client.gaps.filter(({ connection }) => connection % containers === index), { from: began, to: now })),
      blackouts: reports.flatMap(({ blackout }) => blackout ?? []),
      kept: all - new Set(client.lost.map(({ connection }) => connection)).size,
    };
  } finally {
    await clear();
  }
}
