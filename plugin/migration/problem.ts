import { CoatError, explain } from '../../driver/host/errors.ts';
import type { Problem } from '../agent/api.ts';

/** What a move failed of, as people and programs are told. */
export function asProblem(error: unknown): Problem {
  const { code, hint } = error as { code?: unknown; hint?: unknown };
  const said = error instanceof CoatError ? error.message : explain(error);
  return {
    code: typeof code === 'string' ? code : 'failed',
    // one sentence on one line; its causes are in the log
    message: error instanceof Error && error.name === 'AbortError' ? 'the migration was cancelled' : said.replace(/\s*\n\s*/g, ' '),
    ...(typeof hint === 'string' ? { hint } : {}),
  };
}
