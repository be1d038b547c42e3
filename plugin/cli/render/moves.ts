import type { Migration } from '../../agent/api.ts';
import type { Ended } from '../follow.ts';
import { type Form, show } from '../format/show.ts';
import { paintFor, type Scene } from '../scene.ts';
import { table } from './table.ts';
import { ago, bytes, duration } from './units.ts';

/** For `--json`: the report, and what went wrong; of what was refused before it began, what was asked. */
export function documentOf({ request, report, problem }: Ended): object {
  const base = report ?? { container: request.container, ...(request.from === undefined ? {} : { from: request.from }), to: request.to, outcome: 'refused' };
  return problem === undefined ? base : { ...base, problem };
}

/** Of a move that was asked for, all fields that a format may name. */
export function recordOf({ request, report, problem }: Ended): object {
  return {
    ...{ id: '', container: request.container, from: request.from ?? '', to: request.to, outcome: 'refused', total: 0, phases: [], steps: [], bytes: { memory: 0, state: 0, files: 0, image: 0 }, warnings: [] },
    ...report,
    blackout: report?.blackout ?? 0,
    problem: problem ?? { code: '', message: '', hint: '' },
  };
}

/** What became of several: a table, and below it why some stay. */
export async function showMoves(scene: Scene, form: Form, ended: readonly Ended[], { quiet }: { quiet: boolean }): Promise<void> {
  if (quiet && form.json === undefined && form.format === undefined) {
    for (const { request, problem } of ended) if (problem !== undefined) scene.stderr.write(`${request.container}: ${problem.message}\n`);
    return;
  }
  await show(scene, form, {
    value: ended.map(documentOf),
    records: ended.map(recordOf),
    text: () => movesText(ended, paintFor(scene.stdout, scene.env).red),
  });
}

export function movesText(ended: readonly Ended[], red: (text: string) => string): string {
  if (ended.length === 0) return 'There is nothing to move.\n';
  const rows = ended.map(({ request, report, problem }) => [
    report?.container ?? request.container,
    report?.from ?? request.from ?? '-',
    report?.to ?? request.to,
    problem === undefined ? 'moved' : report?.outcome ?? 'refused',
    report?.blackout === undefined ? '-' : duration(report.blackout),
    report === undefined ? '-' : duration(report.total),
  ]);
  const why = ended.flatMap(({ request, problem }) => (problem === undefined ? [] : [red(`${request.container}: ${problem.message}`), ...(problem.hint === undefined ? [] : [`  ${problem.hint}`])]));
  const stayed = ended.filter(({ problem }) => problem !== undefined).length;
  const sum = `${ended.length - stayed} of ${ended.length} moved${stayed === 0 ? '' : `, ${stayed} not`}.`;
  return `${table(['CONTAINER', 'FROM', 'TO', 'OUTCOME', 'BLACKOUT', 'TOTAL'], rows, { right: ['BLACKOUT', 'TOTAL'] })}\n${[...why, sum].join('\n')}\n`;
}

/** Many moves that have been, newest first. @param now ms since 1970 */
export function historyText(migrations: readonly Migration[], now: number): string {
  const rows = migrations.map(({ id, container, from, to, outcome, phase, blackout, total, bytes: carried, started }) => [
    id.slice(0, 8),
    container,
    from,
    to,
    outcome ?? phase,
    blackout === undefined ? '-' : duration(blackout),
    total === undefined ? '-' : duration(total),
    carried === undefined ? '-' : bytes(carried.memory + carried.state + carried.files + carried.image),
    ago(now - started),
  ]);
  return table(['MIGRATION', 'CONTAINER', 'FROM', 'TO', 'OUTCOME', 'BLACKOUT', 'TOTAL', 'CARRIED', 'BEGUN'], rows, { right: ['BLACKOUT', 'TOTAL', 'CARRIED'] });
}
