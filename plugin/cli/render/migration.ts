import type { MigrationDetails } from '../../agent/api.ts';
import { sheet, table } from './table.ts';
import { bytes, duration, millis } from './units.ts';

/** All that is known of one move. */
export function migrationText(details: MigrationDetails): string {
  const { id, container, from, to, asked, started, ended, outcome, phase, blackout, total, bytes: carried, problem, report } = details;
  const when = (ms: number): string => new Date(ms).toISOString();
  const rows: [string, string][] = [
    ['Migration', id],
    ['Container', container],
    ['From', from],
    ['To', to],
    ['Asked at', asked],
    ['Begun', when(started)],
    ...(ended === undefined ? [] : [['Ended', when(ended)] as [string, string]]),
    ['Outcome', outcome ?? `under way: ${phase}`],
    ...(total === undefined ? [] : [['Total', duration(total)] as [string, string]]),
    ...(blackout === undefined ? [] : [['Blackout', duration(blackout)] as [string, string]]),
    ...(carried === undefined ? [] : [['Carried', `memory ${bytes(carried.memory)}, state ${bytes(carried.state)}, files ${bytes(carried.files)}, image ${bytes(carried.image)}`] as [string, string]]),
    ...(problem === undefined ? [] : [['Problem', problem.message] as [string, string]]),
    ...(report?.warnings ?? []).map((warning): [string, string] => ['Warning', warning]),
  ];
  const parts = [sheet(rows)];
  if (report !== undefined && report.phases.length > 0) parts.push(table(['PHASE', 'MS'], report.phases.map(({ phase: name, ms }) => [name, millis(ms)]), { right: ['MS'] }));
  if (report !== undefined && report.steps.length > 0) {
    const steps = [...report.steps].sort((a, b) => a.start - b.start);
    parts.push(table(['STEP', 'HOST', 'AT', 'MS', 'BLACKOUT'], steps.map(({ name, host, start, ms, blackout: still }) => [name, host, millis(start), millis(ms), still ? 'yes' : '-']), { right: ['AT', 'MS'] }));
  }
  return parts.join('\n');
}
