import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../../driver/host/errors.ts';
import { docker, NETWORK, removeContainers, runArgs } from '../../lab/demo/stage.ts';
import type { Lab } from '../../lab/lab.ts';
import type { Report } from '../../plugin/agent/api.ts';
import { coat } from '../ways/coat.ts';
import { startPeer } from './peer.ts';
import type { Seen } from './read.ts';
import type { Outcome, Service } from './services.ts';

const [SERVER, CLIENT] = ['bench-service', 'bench-service-client'];
/** Before the first move, ms: so long that it is known what is usual. */
const BEFORE_MS = 3_000;

export interface ServiceMove {
  report: Report;
  /** `undefined` where its client does not tell moves apart. */
  seen?: Seen;
}

export interface ServiceResult extends Omit<Outcome, 'seen'> {
  moves: ServiceMove[];
}

export interface ServiceOptions {
  moves: number;
  signal: AbortSignal;
  tell: (done: number) => void;
}

/** Moves a service there and back while its client is at work. It ends at the first move that fails. */
export async function moveService(lab: Lab, service: Service, { moves: wanted, signal, tell }: ServiceOptions): Promise<ServiceResult> {
  const clear = (): Promise<void> => removeContainers(lab, [SERVER, CLIENT]);
  await clear();
  try {
    const [one, other] = [lab.host('h1'), lab.host('h2')];
    await docker(one, runArgs(SERVER, ['--detach'], service.server), signal);
    await service.ready(one, SERVER, signal);
    const address = await docker(one, ['inspect', '--format', `{{(index .NetworkSettings.Networks "${NETWORK}").IPAddress}}`, SERVER], signal);
    const peer = await startPeer(lab.host('h3'), { name: CLIENT, argv: service.client(address), atWork: service.atWork, signal });
    await sleep(BEFORE_MS, undefined, { signal });
    const done: { from: number; to: number; blackout: number; report: Report }[] = [];
    const problems: string[] = [];
    for (let index = 0; index < wanted && problems.length === 0; index += 1) {
      const [from, to] = index % 2 === 0 ? [one, other] : [other, one];
      const began = Date.now();
      try {
        const report = await coat.move(lab, SERVER, from.name, to.name, signal);
        await sleep(service.pause, undefined, { signal });
        done.push({ from: began, to: Date.now(), blackout: report.blackout ?? 0, report });
      } catch (error) {
        signal.throwIfAborted();
        problems.push(explain(error));
      }
      if (!peer.running) problems.push(`its client ended: ${peer.lines.at(-1)?.text ?? 'without a word'}`);
      tell(index + 1);
    }
    await peer.stop(service.end);
    const { seen, ...outcome } = service.read(peer.lines, done);
    const moves = done.map(({ report }, index): ServiceMove => ({ report, ...(seen[index] && { seen: seen[index] }) }));
    return { ...outcome, moves, problems: [...problems, ...outcome.problems] };
  } finally {
    await clear();
  }
}
