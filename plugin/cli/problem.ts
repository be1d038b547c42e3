import { CoatError, explain } from '../../driver/host/errors.ts';
import type { Problem } from '../agent/api.ts';

/** Anything thrown, as what a person or a script can read. */
export function problemOf(error: unknown): Problem {
  if (!(error instanceof CoatError)) return { code: 'internal', message: `docker coat failed: ${explain(error)}.` };
  const { code, message, hint } = error;
  return hint === undefined ? { code, message } : { code, message, hint };
}

/** The sentence, and below it what to do. */
export function problemText(problem: Problem): string {
  return problem.hint === undefined ? `${problem.message}\n` : `${problem.message}\n${problem.hint}\n`;
}
