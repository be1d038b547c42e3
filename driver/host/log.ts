import pino, { type Logger } from 'pino';
import { operation } from './operation.ts';

export type Log = Logger;

/** The agent's log: one JSON object a line on stdout, which dockerd puts into its own log. `op` is the operation a line belongs to. */
export function createLog(name: string, level = 'info'): Log {
  return pino({ name, level, base: { name }, timestamp: pino.stdTimeFunctions.isoTime, mixin });
}

function mixin(): object {
  const op = operation();
  return op === undefined ? {} : { op };
}

/** A log that keeps silent, for tests and tools. */
export const silent: Log = pino({ level: 'silent' });
