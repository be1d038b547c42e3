/**
 * An error a person reads: one sentence, and what to do next.
 *
 * `code` is stable and machine-readable (`name-taken`, `store-away` …); `hint` says what to do;
 * `cause` keeps what was underneath.
 */
export class CoatError extends Error {
  override readonly name = 'CoatError';
  readonly code: string;
  readonly hint: string | undefined;

  constructor(code: string, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }
}

/** What an error says, with its causes, on one line. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : ` (${explain(error.cause)})`;
  return error.message + cause;
}

/** The `code` of a system or {@link CoatError}, or `undefined`. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
