import type { MigrationEvent } from '../agent/api.ts';
import { advance, liveLine, plainLine, type Progress } from './render/progress.ts';
import type { Paint, Sink } from './scene.ts';

/** The live line is redrawn this often, in ms, so that a long phase is seen to be alive. */
const REDRAW_MS = 100;
const ERASE = '\r\x1b[K';

/** Shows the events of a migration to somebody while they come. Disposed: nothing of it stays open. */
export interface Watch extends Disposable {
  show(event: MigrationEvent): void;
}

export const silentWatch: Watch = { show: () => undefined, [Symbol.dispose]: () => undefined };

/** One line each, for logs and pipes. */
export function plainWatch(sink: Sink, clock: () => number): Watch {
  return {
    show: (event) => {
      const line = event.type === 'warning' ? warningLine(event.message) : plainLine(event, clock());
      if (line !== undefined) sink.write(`${line}\n`);
    },
    [Symbol.dispose]: () => undefined,
  };
}

/** One line that is redrawn, and gone at the end; only warnings stay. */
export function liveWatch(sink: Sink, clock: () => number, paint: Paint): Watch {
  let progress: Progress = { phase: 'asking' };
  let drawn = '';
  const draw = (line: string): void => {
    if (line !== drawn) sink.write(ERASE + line);
    drawn = line;
  };
  // a terminal that does not know its width says 0
  const redraw = (): void => draw(liveLine(progress, clock(), sink.columns || 80));
  const timer = setInterval(redraw, REDRAW_MS);
  return {
    show: (event) => {
      progress = advance(progress, event, clock());
      if (event.type !== 'warning') return;
      draw('');
      sink.write(`${paint.yellow(warningLine(event.message))}\n`);
    },
    [Symbol.dispose]: () => {
      clearInterval(timer);
      draw('');
    },
  };
}

export function warningLine(message: string): string {
  return `warning: ${message}`;
}
