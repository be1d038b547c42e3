import { writeFile } from 'node:fs/promises';

/** What every measurement is given. */
export interface Means {
  signal: AbortSignal;
  /** A line of the result. */
  say: (line: string) => void;
  /** A line about how it is getting on. */
  note: (line: string) => void;
  /** Where everything that was measured is written to. */
  json?: string;
}

export async function writeJson(file: string | undefined, content: unknown): Promise<void> {
  if (file !== undefined) await writeFile(file, `${JSON.stringify(content, null, 2)}\n`);
}
