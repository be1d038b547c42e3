import { Template } from './template.ts';

/** What `--format` says: how records are printed. */
export interface Format {
  /** All of them, each ending its line. */
  print(records: readonly object[]): string | Promise<string>;
}

const TABLE = /^table(?:\s+|$)/;

/**
 * `json`: a document a line; `table …`: columns under a head, between tabs; anything else: a template for each record.
 *
 * @throws CoatError `usage`
 */
export function parseFormat(text: string): Format {
  if (text === 'json') return { print: (records) => records.map((record) => `${JSON.stringify(record)}\n`).join('') };
  const template = new Template(text.replace(TABLE, ''));
  if (!TABLE.test(text)) return { print: (records) => records.map((record) => `${template.render(record)}\n`).join('') };
  // loaded only where it is needed, as this file is loaded for --help as well
  return { print: async (records) => (await import('../render/table.ts')).table(template.heads().split('\t'), records.map((record) => template.render(record).split('\t'))) };
}
