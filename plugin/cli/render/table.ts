import Table from 'cli-table3';

const NO_LINES = {
  top: '', 'top-mid': '', 'top-left': '', 'top-right': '',
  bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '',
  left: '', 'left-mid': '', mid: '', 'mid-mid': '',
  right: '', 'right-mid': '', middle: '   ',
};

/** Columns under a head in capitals, without lines, as docker's own lists look. Ends with a line feed. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], options: { right?: readonly string[] } = {}): string {
  const drawn = new Table({
    head: [...head],
    chars: NO_LINES,
    colAligns: head.map((name) => (options.right?.includes(name) ? 'right' : 'left')),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  drawn.push(...rows.map((row) => [...row]));
  return drawn.toString().split('\n').map((line) => `${line.trimEnd()}\n`).join('');
}

/** `name: value` lines with the values below each other. */
export function sheet(rows: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${`${name}:`.padEnd(width + 2)} ${value}\n`).join('');
}
