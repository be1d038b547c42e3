import type { Report } from '../plugin/agent/api.ts';
import { table } from '../plugin/cli/render/table.ts';
import type { Result } from './run.ts';
import { gather, summary, type Summary } from './statistics.ts';
import type { Versions } from './versions.ts';
import type { Workload } from './workloads.ts';

const number = (ms: number): string => (ms < 9.95 ? ms.toFixed(1) : String(Math.round(ms)));
const cells = (name: string, of: Summary | undefined): string[] => [name, of ? number(of.median) : '-', of ? number(of.worst) : '-'];
const RIGHT = { right: ['MEDIAN', 'WORST'] };

/** What a step is called in a table: the hosts change sides, so it is said at which side it ran. */
export function stepName(step: Report['steps'][number], { from }: Report): string {
  const side = step.host === from ? 'source' : 'destination';
  return `${step.name} (${side})`;
}

/** The steps of a move that lie between freeze and thaw, by the times they began. */
export function inBlackout({ steps, blackout }: Report): Report['steps'] {
  const frozen = steps.find(({ name }) => name === 'freeze')?.start;
  if (frozen === undefined || blackout === undefined) return [];
  // steps are told in the order they ended
  return steps.filter(({ start }) => start >= frozen && start < frozen + blackout).sort((a, b) => a.start - b.start);
}

/** Everything about one workload, in ms. */
export function resultText(name: string, { about, target }: Workload, { moves, failure, requests, lost, errors, timeouts }: Result): string {
  const reports = moves.map(({ report }) => report);
  const gap = summary(moves.map((move) => move.gap));
  const phases = gather(reports.flatMap((report) => report.phases), ({ phase }) => phase, ({ ms }) => ms);
  const steps = gather(reports.flatMap((report) => inBlackout(report).map((step) => ({ name: stepName(step, report), ms: step.ms }))), (step) => step.name, (step) => step.ms);
  const memory = summary(reports.map(({ bytes }) => bytes.memory / 1e6));
  const verdict = gap === undefined ? 'nothing measured' : gap.median <= target ? 'reached' : 'missed';
  return [
    `${name}: ${about}; ${memory ? `${number(memory.median)} MB carried` : 'nothing carried'}, ${moves.length} moves, ms`,
    table(['', 'MEDIAN', 'WORST'], [cells('gap, as the client saw it', gap), cells('blackout, as the agent saw it', summary(reports.flatMap(({ blackout }) => blackout ?? []))), cells('whole move', summary(reports.map(({ total }) => total)))], RIGHT),
    table(['PHASE', 'MEDIAN', 'WORST'], [...phases].map(([phase, values]) => cells(phase, summary(values))), RIGHT),
    table(['DURING THE BLACKOUT', 'MEDIAN', 'WORST'], [...steps].map(([step, values]) => cells(step, summary(values))), RIGHT),
    `${requests} requests, every byte checked; connections lost: ${lost}${errors.length > 0 ? ` (${errors.join('; ')})` : ''}; retransmission time-outs: ${timeouts}`,
    `target: a median gap of ${target} ms or less: ${verdict}`,
    ...(failure === undefined ? [] : [`FAILED after ${moves.length} moves: ${failure}`]),
    '',
  ].join('\n');
}

export function versionsText({ date, node, kernel, processor, memory, cgroup, hosts }: Versions): string {
  const rows = hosts.map((host) => [host.name, host.docker, host.runc, host.criu]);
  return `${date}: Linux ${kernel}, ${processor}, ${memory} GiB, cgroup v${cgroup}, Node ${node}\n\n${table(['HOST', 'DOCKER', 'RUNC', 'CRIU'], rows)}`;
}
