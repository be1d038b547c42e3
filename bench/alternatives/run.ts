import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../../driver/host/errors.ts';
import type { LabHost } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import { longestIn } from '../statistics.ts';
import { Client } from './client.ts';
import { bytesSent } from './stage.ts';
import type { Alternative, Step } from './ways.ts';

const CLIENT = 'bench-client';
export const CONNECTIONS = 4;
/** Requests a second of each connection. */
const HZ = 250;
/** Before a move, ms: the client has answers by then. */
const PAUSE_MS = 500;
/** A peer's kernel asks again after about as long as it had to wait, at most two minutes later (RFC 6298, and Linux' TCP_RTO_MAX). */
const AGAIN_MS = 180_000;
const AFTER_FAILURE_MS = 30_000;

/** What is moved: an echo server with so much memory that cannot be compressed. */
export interface Size {
  name: string;
  argv: readonly string[];
}

/** The rate of both hosts' links, in both directions. */
export interface Link {
  name: string;
  rate: string | null;
}

/** One move by one way. */
export interface Trial {
  way: string;
  size: string;
  link: string;
  /** The longest silence of any connection, ms. */
  gap: number;
  /** From the command until it was done, ms. */
  total: number;
  /** Bytes that left the source's interface meanwhile, whatever they were. */
  sent: number;
  /** Of {@link CONNECTIONS}. */
  kept: number;
  steps: Step[];
  /** Why it is not at the destination, if it is not; the other figures are of what was seen all the same. */
  failure?: string;
  /** Why a connection was lost. */
  why: string[];
}

export interface TrialOptions {
  from: LabHost;
  to: LabHost;
  /** Has the client. */
  third: LabHost;
  way: Alternative;
  size: Size;
  link: Link;
  signal: AbortSignal;
}

/** Starts a server and its client, moves the server once, and ends both. */
export async function trial(lab: Lab, { from, to, third, way, size, link, signal }: TrialOptions): Promise<Trial> {
  const clear = async (): Promise<void> => {
    await third.exec(['docker', 'rm', '--force', CLIENT], { okCodes: [0, 1] });
    await way.remove([from, to]);
  };
  await clear();
  for (const host of [from, to]) await lab.limit(host.name, null);
  try {
    const address = await way.start(lab, from, size.argv, signal);
    const client = await Client.start({ host: third, name: CLIENT, network: way.network, argv: [address, '--connections', String(CONNECTIONS), '--hz', String(HZ), '--timeout', String(way.timeout)], signal });
    for (const host of [from, to]) await lab.limit(host.name, link.rate);
    await sleep(PAUSE_MS, undefined, { signal });
    const [began, before] = [Date.now(), await bytesSent(from)];
    const clock = performance.now();
    let steps: Step[] = [];
    let failure: string | undefined;
    try {
      steps = await way.move(lab, from, to, size.argv, signal);
    } catch (error) {
      signal.throwIfAborted();
      failure = explain(error);
    }
    const [total, sent] = [performance.now() - clock, (await bytesSent(from)) - before];
    // after a move that failed the server may be where it was, and its connections too
    const back = await client.heardAgain(failure === undefined ? AGAIN_MS : AFTER_FAILURE_MS, signal).then(() => true, (error: unknown) => {
      signal.throwIfAborted();
      failure ??= `afterwards nobody answered: ${explain(error)}`;
      return false;
    });
    const gap = longestIn(client.gaps, { from: began, to: Date.now() });
    const lost = new Set(client.lost.map(({ connection }) => connection)).size;
    const why = [...new Set(client.lost.map((each) => each.why))];
    await client.stop();
    return { way: way.name, size: size.name, link: link.name, gap, total, sent, kept: back ? CONNECTIONS - lost : 0, steps, why, ...(failure === undefined ? {} : { failure }) };
  } finally {
    for (const host of [from, to]) await lab.limit(host.name, null);
    await clear();
  }
}
