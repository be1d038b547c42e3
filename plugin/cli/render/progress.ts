import type { MigrationEvent } from '../../agent/api.ts';
import { bytes, duration } from './units.ts';

/** How far a migration is, as far as its events tell. Times in ms since it was asked for. */
export interface Progress {
  phase: string;
  /** What is being carried now, and since when, beginning with how many bytes. */
  load?: { what: string; bytes: number; total?: number; at: number; since: number; first: number };
}

/** The next state; `now` as in {@link Progress}. */
export function advance(progress: Progress, event: MigrationEvent, now: number): Progress {
  if (event.type === 'phase') return { phase: event.phase };
  if (event.type !== 'progress') return progress;
  const { what, total } = event;
  const before = progress.load;
  const same = before !== undefined && before.what === what && before.bytes <= event.bytes;
  const since = same ? before.since : now;
  const first = same ? before.first : event.bytes;
  return { ...progress, load: { what, bytes: event.bytes, at: now, since, first, ...(total === undefined ? {} : { total }) } };
}

/** The one line that is redrawn, no wider than the terminal. */
export function liveLine({ phase, load }: Progress, now: number, columns: number): string {
  const parts = [duration(now).padStart(8), phase.padEnd(10)];
  if (load !== undefined) parts.push(loadText(load));
  return printable(parts.join('  ')).slice(0, Math.max(0, columns - 1));
}

function loadText({ what, bytes: count, total, at, since, first }: NonNullable<Progress['load']>): string {
  const share = total === undefined || total === 0 ? '' : ` of ${bytes(total)} (${Math.min(100, Math.floor((count / total) * 100))} %)`;
  const rate = at > since ? `, ${bytes(((count - first) * 1000) / (at - since))}/s` : '';
  return `${what} ${bytes(count)}${share}${rate}`;
}

/** What a log gets instead: one line per phase and warning, nothing for the rest. */
export function plainLine(event: MigrationEvent, now: number): string | undefined {
  switch (event.type) {
    case 'started':
      return `${event.container}: ${event.from} to ${event.to}, migration ${event.id}`;
    case 'phase':
      return `${duration(now).padStart(8)}  ${event.phase}`;
    default:
      return undefined;
  }
}

/** Without characters that would move the cursor. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ');
}
