import { CoatError } from '../../driver/host/errors.ts';
import type { Phase } from '../agent/api.ts';
import type { ContainerEvent } from '../engine/watch.ts';
import type { MoverDependencies } from './ports.ts';

/** Signals that are sent to end a container: by `docker stop`, `kill`, `rm --force`, `restart` (signal(7): HUP, INT, QUIT, KILL, TERM). */
const ENDING: readonly string[] = ['1', '2', '3', '9', '15'];

/** What a move does about something the user does with the container meanwhile. */
export type Answer =
  /** What the user wants comes first: the move is taken back, and the container gets what it was sent. */
  | { take: 'back'; why: CoatError }
  /** The container may run at the destination already, and what it was sent has stayed here: it is sent there. */
  | { take: 'along'; signal: string }
  | undefined;

/**
 * Judges an event of the container at the source, where its own move has caused none. Before the freeze the container can still do by itself
 * what it is told, so only what ends or pauses it matters; while it is frozen it can do nothing, so everything does.
 */
export function judge(event: ContainerEvent, phase: Phase, container: string): Answer {
  const back = (code: string, what: string, hint: string): Answer => ({ take: 'back', why: new CoatError(code, `${container} was ${what} meanwhile`, { hint }) });
  switch (phase) {
    case 'planned':
    case 'prepared':
    case 'copying':
    case 'redirected':
    case 'frozen':
      if (event.action === 'pause') return back('paused', 'paused', `docker unpause ${container}, and move it again`);
      if (event.action === 'die' || event.action === 'destroy') return back('stopped-meanwhile', 'stopped', 'start it, and move it again');
      if (event.action !== 'kill') return undefined;
      if (ENDING.includes(event.signal ?? '')) return back('stopped-meanwhile', 'told to stop', 'start it, and move it again');
      return phase === 'frozen' ? back('signalled', `sent signal ${event.signal}`, 'move it again') : undefined;
    case 'restoring':
      return event.action === 'kill' && event.signal !== undefined ? { take: 'along', signal: event.signal } : undefined;
    case 'released':
    case 'cleaned':
      return undefined;
  }
}

/** Whether a container that could not be moved has just been stopped by somebody; the engine tells of it a little late. */
export async function stoppedMeanwhile({ containers }: Pick<MoverDependencies, 'containers'>, id: string, name: string): Promise<CoatError | undefined> {
  const inspect = await containers.inspect(id).catch(() => null);
  if (inspect === null || inspect?.State.Running) return undefined;
  return new CoatError('stopped-meanwhile', `${name} was stopped meanwhile`, { hint: 'start it, and move it again' });
}
