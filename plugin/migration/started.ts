import { CoatError } from '../../driver/host/errors.ts';

/** Rejects when the engine's start of a container does, and never resolves. */
export function endsWith(started: Promise<void>): Promise<never> {
  return started.then(
    () => new Promise<never>(() => undefined),
    (cause: unknown) => {
      throw new CoatError('start-failed', 'the engine could not start the container', { cause });
    },
  );
}
