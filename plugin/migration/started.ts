import { readFile } from 'node:fs/promises';
import { CoatError, explain } from '../../driver/host/errors.ts';
import type { HostSide } from '../criu/host.ts';
import { lastErrors } from '../criu/log.ts';

/** Rejects when the engine's start of a container does, and never resolves. */
export function endsWith(started: Promise<void>): Promise<never> {
  return started.then(
    () => new Promise<never>(() => undefined),
    (cause: unknown) => {
      throw new CoatError('start-failed', 'the engine could not start the container', { cause });
    },
  );
}

/** @param directory of the restore, which has CRIU's log. @param cause what the engine says */
export async function restoreFailed(host: HostSide, self: string, directory: string, why: unknown, cause: unknown): Promise<CoatError> {
  const log = await readFile(host.path(`${directory}/work/restore.log`), 'utf8').catch(() => '');
  return new CoatError('restore-failed', `CRIU could not restore the container on ${self}: ${lastErrors(log) || explain(why)}`, { hint: 'the container goes on at the source', cause });
}
