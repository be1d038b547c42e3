import type { Setup } from '../../agent/api.ts';
import type { Paint } from '../scene.ts';

/** What changes in the engine's settings: lines that go with `-`, lines that come with `+`, as diff(1) has them. */
export function setupText({ file, before, after }: Setup, { dryRun, undo }: { dryRun?: true; undo?: true }, paint: Paint): string {
  if (before === after) return undo ? `${file} has nothing of coat's.\n` : `${file} has the runtime coat${dryRun ? '' : ', and the engine knows it'}.\n`;
  const changes = changed(linesOf(before), linesOf(after)).map((line) => `${line.startsWith('+') ? paint.green(line) : line.startsWith('-') ? paint.red(line) : line}\n`);
  const verb = after === undefined ? 'is removed' : before === undefined ? 'is new' : 'changes';
  const end = dryRun ? 'Nothing was changed: this was a dry run.' : 'The engine has read it anew. No container was touched.';
  return `${file} ${verb}:\n${changes.join('')}${end}\n`;
}

const linesOf = (text: string | undefined): string[] => (text === undefined ? [] : text.trimEnd().split('\n'));

/** The changed middle between what begins and what ends alike. */
function changed(before: readonly string[], after: readonly string[]): string[] {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < shorter - head && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  const middle = (lines: readonly string[]): string[] => lines.slice(head, lines.length - tail);
  const same = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);
  return [
    ...same(before.slice(0, head)),
    ...middle(before).map((line) => `- ${line}`),
    ...middle(after).map((line) => `+ ${line}`),
    ...same(before.slice(before.length - tail)),
  ];
}
