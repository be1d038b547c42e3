import type { Report } from '../../agent/api.ts';
import type { Paint } from '../scene.ts';
import { table } from './table.ts';
import { bytes, duration, millis } from './units.ts';

/** A successful move: what happened, where the time went, and what was carried. */
export function reportText(report: Report, paint: Paint): string {
  const { container, from, to, total, blackout } = report;
  const still = blackout === undefined ? '' : `, and stood still for ${duration(blackout)} of it`;
  const parts = [`${paint.bold(`${container} moved from ${from} to ${to}`)} in ${duration(total)}${still}.\n`, phaseTable(report)];
  const steps = report.steps.filter((step) => step.blackout);
  if (steps.length > 0) parts.push(stepTable(steps));
  parts.push(`Carried: ${cargo(report.bytes)}${report.image === 'pulled' ? ', pulled from a registry' : ''}\n`);
  return parts.join('\n');
}

function phaseTable({ phases, total, blackout }: Report): string {
  const rows = phases.map(({ phase, ms }) => [phase, millis(ms)]);
  rows.push(['total', millis(total)]);
  if (blackout !== undefined) rows.push(['blackout', millis(blackout)]);
  return table(['PHASE', 'MS'], rows, { right: ['MS'] });
}

/** `AT` counts from the beginning of the migration. */
function stepTable(steps: Report['steps']): string {
  const rows = steps.map(({ name, host, start, ms }) => [name, host, millis(start), millis(ms)]);
  return table(['DURING THE BLACKOUT', 'HOST', 'AT', 'MS'], rows, { right: ['AT', 'MS'] });
}

function cargo({ memory, state, files, image }: Report['bytes']): string {
  return `memory ${bytes(memory)}, state ${bytes(state)}, files ${bytes(files)}, image ${bytes(image)}`;
}

/** After a move that did not succeed: where the container is now. */
export function whereabouts({ outcome, container, from, to, blackout }: Report): string {
  switch (outcome) {
    case 'migrated':
      return `${container} runs on ${to}.`;
    case 'refused':
      return 'Nothing was changed.';
    case 'rolled-back':
      return `Everything was undone: ${container} is on ${from}${blackout === undefined ? '' : `, and stood still for ${duration(blackout)}`}.`;
    case 'lost':
      return `${container} runs nowhere any more: it was ended on ${to}, and what ${from} had of it was removed.`;
    case 'in-doubt':
      return `${container} stays frozen on ${from} until ${to} can say whether it runs there: see 'docker coat status'.`;
  }
}
