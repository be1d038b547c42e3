import colors from 'picocolors';
import type { Seen, Verdict } from './client.ts';

/** One move, and what the client saw of it. */
export interface Moved extends Seen {
  from: string;
  to: string;
}

export const count = (value: number): string => value.toLocaleString('en').replaceAll(',', ' ');
export const millis = (ms: number): string => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;

export const title = (text: string): string => `\n${colors.bold(text)}`;
export const step = (what: string, text: string): string => `  ${colors.cyan(what.padEnd(9))}${text}`;
export const prompt = (host: string, argv: readonly string[]): string => `${colors.dim(`root@${host} #`)} ${colors.bold(argv.join(' '))}`;
export const seenText = ({ requests, gap }: Seen): string =>
  step('client', `${count(requests)} requests answered meanwhile, longest gap ${colors.bold(millis(gap))}`);

/** True when nothing was lost. */
export const isClean = ({ errors, reconnects }: Verdict): boolean => errors.length === 0 && reconnects === 0;

/** What the client says in the end. */
export function verdictText(verdict: Verdict, moves: readonly Moved[]): string {
  const { requests, errors, reconnects } = verdict;
  const good = (text: string, ok: boolean): string => (ok ? colors.green(text) : colors.red(text));
  const rows: [string, string][] = [
    ['requests', `${count(requests)}, each answer checked`],
    ['errors', good(errors.length === 0 ? '0' : errors.join('; '), errors.length === 0)],
    ['reconnects', good(reconnects === undefined ? 'unknown: Redis could not be asked' : `${reconnects}`, reconnects === 0)],
    ...moves.map(({ from, to, gap }): [string, string] => [`${from} to ${to}`, `longest gap ${millis(gap)}`]),
  ];
  const lines = rows.map(([name, value]) => `  ${name.padEnd(12)}${value}`);
  const end = isClean(verdict) ? 'Redis changed its host twice, and the client did not notice more than a pause.' : 'Something was lost.';
  return [title('What the client saw'), ...lines, '', good(end, isClean(verdict))].join('\n');
}
