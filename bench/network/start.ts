import { once } from 'node:events';
import { NETWORK, docker, removeContainers } from '../../lab/demo/stage.ts';
import type { Lab } from '../../lab/lab.ts';
import type { LabHost } from '../../lab/host.ts';
import { CoatError } from '../../driver/host/errors.ts';

/** A network of Docker's own driver, made by the user as coat's is, so that both have Docker's resolver. */
const BRIDGE = 'bench-bridge';
const KEEPERS = ['bench-keep-coat', 'bench-keep-bridge'];
const STARTED = 'bench-started';
const IMAGE = 'coat-lab/workloads';

/** Says that it runs when its gateway has answered it; so the network works. */
const READY = 'ping -q -c 1 -W 5 $(ip route | sed -n "s/default via \\([^ ]*\\).*/\\1/p") > /dev/null && echo ready; sleep infinity';

/** `docker run` to `ready`, ms: of coat and of Docker's bridge. */
export interface Start {
  coat: number;
  bridge: number;
}

export interface StartOptions {
  host: LabHost;
  count: number;
  signal: AbortSignal;
  tell: (done: number) => void;
}

/** Starts containers on both networks, in turn. Each network has another container all the time, so that none of them is made anew. */
export async function measureStarts(lab: Lab, { host, count, signal, tell }: StartOptions): Promise<Start[]> {
  const clear = async (): Promise<void> => {
    await removeContainers(lab, [...KEEPERS, STARTED]);
    await host.exec(['docker', 'network', 'rm', BRIDGE], { okCodes: [0, 1] });
  };
  await clear();
  try {
    await docker(host, ['network', 'create', BRIDGE], signal);
    for (const [index, network] of [NETWORK, BRIDGE].entries()) await docker(host, ['run', '--detach', '--init', '--name', KEEPERS[index]!, '--network', network, IMAGE, 'sleep', 'infinity'], signal);
    const found: Start[] = [];
    // what is done for the first time is not measured
    for (const network of [NETWORK, BRIDGE]) await start(host, network, signal);
    for (let index = 0; index < count; index += 1) {
      const times: Start = { coat: 0, bridge: 0 };
      const turn = [['coat', NETWORK], ['bridge', BRIDGE]] as const;
      for (const [name, network] of index % 2 === 0 ? turn : [...turn].reverse()) times[name] = await start(host, network, signal);
      found.push(times);
      tell(index + 1);
    }
    return found;
  } finally {
    await clear();
  }
}

async function start(host: LabHost, network: string, signal: AbortSignal): Promise<number> {
  const began = performance.now();
  const child = host.spawn(['docker', 'run', '--init', '--name', STARTED, '--network', network, IMAGE, 'sh', '-c', READY], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close', { signal });
  try {
    const said = await Promise.race([once(child.stdout!, 'data', { signal }).then(String), ended.then(() => 'nothing')]);
    if (said.trim() !== 'ready') throw new CoatError('bench-start', `a container on ${network} did not become ready: ${said}`);
    return performance.now() - began;
  } finally {
    await docker(host, ['rm', '--force', STARTED]);
    await ended.catch(() => undefined);
  }
}
