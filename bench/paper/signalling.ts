import { request } from 'node:http';
import { join } from 'node:path';
import type { LabHost } from '../../lab/host.ts';

/** ms of each call, of which the first, not counted, was there to warm up. */
export interface Signalling {
  /** `ssh HOST true`: a connection for each command, with a key; the paper's scripts had passwords. */
  ssh: number[];
  /** The same through a connection that is open. */
  sshOpen: number[];
  /** The local agent is asked how all hosts are, for which it asks each of them. */
  agents: number[];
}

/** What it costs to have something done on another host, on these links. */
export async function measureSignalling(from: LabHost, to: LabHost, count: number, signal: AbortSignal): Promise<Signalling> {
  const ssh = (config: string): Promise<unknown> => from.exec(['ssh', '-F', `/share/bench/ssh/${config}`, to.name, 'true'], { signal });
  const found: Signalling = { ssh: [], sshOpen: [], agents: [] };
  for (let index = 0; index <= count; index += 1) {
    const row = { ssh: await timed(() => ssh('config-plain')), sshOpen: await timed(() => ssh('config')), agents: await timed(() => status(from)) };
    if (index === 0) continue;
    for (const name of ['ssh', 'sshOpen', 'agents'] as const) found[name].push(row[name]);
  }
  return found;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

function status(host: LabHost): Promise<void> {
  return new Promise((resolve, reject) => {
    request({ socketPath: join(host.root, 'run/coat/agent.sock'), path: '/v1/status' }, (response) => {
      response.resume().on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`the agent of ${host.name} answered ${response.statusCode}`))));
    }).on('error', reject).end();
  });
}
