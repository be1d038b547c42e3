import pino, { type Logger } from 'pino';

export type Log = Logger;

/** The agent's log: one JSON object a line on stdout, which dockerd puts into its own log. */
export function createLog(name: string, level = 'info'): Log {
  return pino({ name, level, base: { name }, timestamp: pino.stdTimeFunctions.isoTime });
}

/** A log that keeps silent, for tests and tools. */
export const silent: Log = pino({ level: 'silent' });
