import type { Finding } from '../../agent/api.ts';
import type { Paint } from '../scene.ts';

const MARKS = { ok: 'ok', warning: 'warning', problem: 'PROBLEM' } as const;

/** A line for each thing looked at; below what is not well, its remedy. */
export function doctorText(findings: readonly Finding[], paint: Paint): string {
  const marks = { ok: paint.green, warning: paint.yellow, problem: paint.red };
  const width = Math.max(...findings.map(({ check }) => check.length));
  return findings
    .map(({ check, state, found, remedy }) => {
      const line = `${marks[state](MARKS[state].padEnd(7))}  ${check.padEnd(width)}  ${found}\n`;
      return remedy === undefined ? line : `${line}${' '.repeat(width + 11)}→ ${remedy}\n`;
    })
    .join('');
}
