import Docker from 'dockerode';
import { CoatError, codeOf } from '../../driver/host/errors.ts';

/**
 * The Engine API version all calls are made with. Docker 25 to 29 speak it: 1.44 is the newest that
 * the oldest of them knows and the oldest that the newest still accepts. Without a version an engine
 * answers in its own newest, and the fields differ.
 */
const API_VERSION = 'v1.44';

/**
 * A connection to the engine. Nothing is sent yet, so this works before dockerd has opened its socket,
 * which it does only after its plugins run: for the same reason no driver call may ever wait for a
 * call made here.
 *
 * @param socketPath of dockerd, as this process sees it
 */
export function connectEngine(socketPath: string): Docker {
  return new Docker({ socketPath, version: API_VERSION });
}

/** An error of the engine, or of the way to it, as a sentence. Status codes: the Engine API's. */
export function engineError(doing: string, error: unknown): CoatError {
  const code = codeOf(error);
  if (code === 'ECONNREFUSED' || code === 'ENOENT') {
    return new CoatError('engine-away', 'the Docker Engine of this host does not answer', { hint: 'systemctl status docker', cause: error });
  }
  return new CoatError('engine-refused', `the engine refused ${doing}`, { cause: error });
}

/** The HTTP status the engine answered with, where the error is its answer. */
export function statusOf(error: unknown): number | undefined {
  const status = typeof error === 'object' && error !== null && 'statusCode' in error ? error.statusCode : undefined;
  return typeof status === 'number' ? status : undefined;
}
