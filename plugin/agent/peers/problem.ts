import { z } from 'zod';
import { codeOf, CoatError, explain } from '../../../driver/host/errors.ts';
import { operation } from '../../../driver/host/operation.ts';
import type { Problem } from '../api.ts';

const Shape = z.object({ code: z.string(), message: z.string(), hint: z.string().optional() });

/** What a caller is told about an error. Errors nobody foresaw have the code `internal`. */
export function problemOf(error: unknown): Problem {
  if (error instanceof CoatError) {
    return { code: error.code, message: explain(error), ...(error.hint === undefined ? {} : { hint: error.hint }) };
  }
  return { code: 'internal', message: `${explain(error)}${codeOf(error) === undefined ? '' : ` [${codeOf(error)}]`}`, hint: `the log of the agent says more${operation() === undefined ? '' : ` (op ${operation()})`}` };
}

/** The HTTP status of an error: 400 for what the caller can put right, 500 for what is ours. */
export const statusOf = (error: unknown): number => (error instanceof CoatError ? 400 : 500);

/** The error a peer's answer stands for. */
export function errorFrom(text: string, from: string): CoatError {
  let problem: z.infer<typeof Shape>;
  try {
    problem = Shape.parse(JSON.parse(text));
  } catch {
    return new CoatError('peer-answer', `host ${from} gave an answer that is not of this protocol: ${text.slice(0, 200)}`);
  }
  return new CoatError(problem.code, problem.message, problem.hint === undefined ? {} : { hint: problem.hint });
}
