import { CoatError } from '../../../driver/host/errors.ts';

const HINT = 'check that the host is up, that its plugin is enabled, and that its settings COAT_PORT and COAT_SECRET are those of this one';

/** No connection came about: nothing has happened at the other side. */
export function peerAway(name: string, cause: unknown): CoatError {
  return new CoatError('peer-away', `host ${name} cannot be reached`, { hint: HINT, cause });
}

/** The connection broke after something was sent: whether the other side has done it is not known. */
export function peerLost(name: string, cause: unknown): CoatError {
  return new CoatError('peer-lost', `the connection to host ${name} broke`, { hint: HINT, cause });
}

/** No answer in time: whether the other side has done it, or still does it, is not known. */
export function peerTimeout(name: string, path: string, ms: number): CoatError {
  return new CoatError('peer-timeout', `host ${name} did not answer ${path} within ${ms} ms`, { hint: 'the log of its agent says more' });
}
