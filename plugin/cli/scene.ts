import colors from 'picocolors';
import type { Agent } from './agent.ts';

/** Somewhere to write: standard output, standard error, or a test's memory. */
export interface Sink {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

/** What a verb may touch. */
export interface Scene {
  stdout: Sink;
  stderr: Sink;
  env: NodeJS.ProcessEnv;
  /** The agent of this machine. @throws CoatError where docker is told to work on another one */
  agent: () => Promise<Agent>;
}

/** Colours by name; each takes and gives a string. */
export type Paint = ReturnType<typeof colors.createColors>;

/** Whether lines can be redrawn there. */
export function isLive(sink: Sink, env: NodeJS.ProcessEnv): boolean {
  return sink.isTTY === true && env['TERM'] !== 'dumb';
}

/** Colours where a person looks at them (https://no-color.org), otherwise none. */
export function paintFor(sink: Sink, env: NodeJS.ProcessEnv): Paint {
  return colors.createColors(isLive(sink, env) && !env['NO_COLOR']);
}

export function writeJson(sink: Sink, value: unknown): void {
  sink.write(`${JSON.stringify(value, undefined, 2)}\n`);
}
