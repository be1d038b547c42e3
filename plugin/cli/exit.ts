/**
 * What `docker coat` exits with. 125 is what docker itself uses for a command line it cannot read, so
 * a script can tell "you asked wrongly" from "it was tried and failed".
 */
export const exitCodes = {
  /** Done; for `migrate`: the container runs at the destination. */
  ok: 0,
  /** The agent refused, failed or could not be reached. */
  failed: 1,
  /** Unknown verb or flag, missing or superfluous argument: the agent was not asked. */
  usage: 125,
  /** Ended by a signal; 130 is Ctrl-C. */
  signal: (number: number): number => 128 + number,
} as const;
