import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { CoatError } from '../../driver/host/errors.ts';
import { until } from '../../driver/host/until.ts';
import { runArgs } from '../../lab/demo/stage.ts';
import type { LabHost } from '../../lab/host.ts';

/** A line that a program printed, and when it came, ms since 1970. */
export interface Line {
  at: number;
  text: string;
}

export interface Peer {
  /** What it has printed so far. */
  readonly lines: readonly Line[];
  /** False once the program has ended, which by itself it should not. */
  readonly running: boolean;
  /** Ends it, and waits until it has said all it has to say. */
  stop(signal: NodeJS.Signals): Promise<void>;
}

export interface PeerOptions {
  name: string;
  argv: readonly string[];
  /** What the line begins with that says it is at work. */
  atWork: string;
  signal: AbortSignal;
}

/** Runs a client in a container on the network. @throws CoatError `bench-client` where it does not come to work */
export async function startPeer(host: LabHost, { name, argv, atWork, signal }: PeerOptions): Promise<Peer> {
  const child = host.spawn(['docker', ...runArgs(name, ['--rm'], argv)], { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: Line[] = [];
  const ended = Promise.all([child.stdout!, child.stderr!].map(async (stream) => {
    for await (const text of createInterface({ input: stream })) lines.push({ at: Date.now(), text });
  }));
  const peer: Peer = {
    lines,
    get running() {
      return child.exitCode === null;
    },
    async stop(how) {
      const closed = child.exitCode === null ? once(child, 'close', { signal: AbortSignal.timeout(60_000) }) : undefined;
      host.signal(child, how);
      await closed;
      await ended;
    },
  };
  await until(`"${atWork}" from ${argv[0]}`, () => !peer.running || lines.some(({ text }) => text.startsWith(atWork)), { timeout: 60_000, signal });
  if (!peer.running) throw new CoatError('bench-client', `${argv.join(' ')} ended: ${lines.map(({ text }) => text).join(' ').slice(-300)}`);
  return peer;
}
