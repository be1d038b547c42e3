import { request } from 'node:http';
import Docker from 'dockerode';
import { CoatError, codeOf } from '../../driver/host/errors.ts';
import { newest, older } from './version.ts';

/**
 * A connection to the engine. Nothing is sent yet, so this works before dockerd has opened its socket,
 * which it does only after its plugins run: for the same reason no driver call may ever wait for a
 * call made here.
 *
 * The first call asks which versions of its API the engine speaks. Without a version an engine answers in its own newest, and the
 * fields differ.
 *
 * @param socketPath of dockerd, as this process sees it
 * @param most the newest version that is spoken
 */
export function connectEngine(socketPath: string, most: string = newest(process.env)): Docker {
  const docker = new Docker({ socketPath });
  const modem = docker.modem as unknown as Modem;
  const dial = modem.dial.bind(modem);
  let agreed: Promise<string> | undefined;
  modem.dial = (options, callback) => {
    agreed ??= ping(socketPath).then((theirs) => older(most, theirs));
    agreed.then((version) => {
      modem.version = `v${version}`;
      dial(options, (error, answer) => {
        // an engine that is back may be another one
        if (codeOf(error) !== undefined) agreed = undefined;
        callback(error, answer);
      });
    }, (error: unknown) => {
      agreed = undefined;
      callback(error, undefined);
    });
  };
  return docker;
}

/** The version of its API that is spoken with an engine. @throws what the way to it does */
export async function apiOf(docker: Docker): Promise<string> {
  await docker.ping();
  return String((docker.modem as unknown as Modem).version).slice(1);
}

/** The part of docker-modem that every call goes through. */
interface Modem {
  version?: string;
  dial(options: unknown, callback: (error: unknown, answer: unknown) => void): void;
}

/** The newest version of its API that the engine speaks: a header of the one answer that has none. */
function ping(socketPath: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/_ping' }, (response) => {
      response.resume();
      resolve(response.headers['api-version']?.toString());
    });
    asked.on('error', reject);
    asked.end();
  });
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
