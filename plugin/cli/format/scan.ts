import { CoatError } from '../../../driver/host/errors.ts';

/** A piece of a template: text to print, or what stands between `{{` and `}}`, in words. */
export type Piece = { text: string } | { words: Word[] };

export interface Word {
  kind: 'name' | 'field' | 'text' | 'number' | 'sign';
  /** A field without its first dot; a text without its quotes. */
  value: string;
}

const WORD = /\s+|(?<field>\.[\w.]*)|(?<text>"(?:[^"\\]|\\.)*"|`[^`]*`)|(?<number>-?\d+)|(?<name>[A-Za-z]\w*)|(?<sign>[|()])/gy;

/**
 * Takes a template apart. As with docker, `\t` and `\n` in its text mean a tab and a line feed.
 *
 * @throws CoatError `usage`
 */
export function scan(template: string): Piece[] {
  const pieces: Piece[] = [];
  let rest = template;
  let trim = false;
  for (let open = rest.indexOf('{{'); open >= 0; open = rest.indexOf('{{')) {
    const close = closing(rest, open + 2);
    if (close < 0) throw badFormat('a {{ without its }}');
    let inside = rest.slice(open + 2, close);
    let text = rest.slice(0, open);
    if (trim) text = text.trimStart();
    if (/^-\s/.test(inside)) [inside, text] = [inside.slice(1), text.trimEnd()];
    trim = /\s-$/.test(inside);
    pieces.push({ text: unescape(text) }, { words: words(trim ? inside.slice(0, -1) : inside) });
    rest = rest.slice(close + 2);
  }
  pieces.push({ text: unescape(trim ? rest.trimStart() : rest) });
  return pieces.filter((piece) => !('text' in piece) || piece.text !== '');
}

export function badFormat(what: string): CoatError {
  return new CoatError('usage', `--format: ${what}.`, { hint: "docs/commands.md has what a format may contain; an example: '{{.Container}} {{.Host}}'." });
}

/** Where the `}}` is that is not inside quotes. */
function closing(text: string, from: number): number {
  const quoted = /"(?:[^"\\]|\\.)*"|`[^`]*`|\}\}/g;
  quoted.lastIndex = from;
  for (let found = quoted.exec(text); found; found = quoted.exec(text)) if (found[0] === '}}') return found.index;
  return -1;
}

function words(inside: string): Word[] {
  const found: Word[] = [];
  let end = 0;
  for (const match of inside.matchAll(WORD)) {
    end = match.index + match[0].length;
    const [kind, value] = Object.entries(match.groups ?? {}).find(([, each]) => each !== undefined) ?? [];
    if (kind === 'field') found.push({ kind, value: value!.slice(1) });
    else if (kind === 'text') found.push({ kind, value: value!.startsWith('`') ? value!.slice(1, -1) : quoted(value!) });
    else if (kind !== undefined) found.push({ kind: kind as Word['kind'], value: value! });
  }
  if (end < inside.length) throw badFormat(`"${inside.slice(end).trim()}" is not understood`);
  return found;
}

function quoted(text: string): string {
  try {
    return JSON.parse(text) as string;
  } catch {
    throw badFormat(`${text} is not understood`);
  }
}

const unescape = (text: string): string => text.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
