import { type Scene, writeJson } from '../scene.ts';
import type { Format } from './format.ts';

/** In which form a verb prints what it found. */
export interface Form {
  json?: true;
  format?: Format;
}

/** What a verb found. */
export interface Found {
  /** For `--json`. */
  value: unknown;
  /** For `--format`: what `value` is about, one by one, each with all of its fields. The value itself where this is absent. */
  records?: readonly object[];
  /** For a person. */
  text: () => string | Promise<string>;
}

/** Prints it on standard output. */
export async function show({ stdout }: Scene, { json, format }: Form, { value, records = [value as object], text }: Found): Promise<void> {
  if (format !== undefined) stdout.write(await format.print(records));
  else if (json) writeJson(stdout, value);
  else stdout.write(await text());
}
