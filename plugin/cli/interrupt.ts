import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { exitCodes } from './exit.ts';

/** How often to look whether docker still wants us, in ms. */
const LOOK_MS = 500;

/** A wish to stop: from the keyboard, a signal, or docker. */
export interface Interrupt extends Disposable {
  readonly signal: AbortSignal;
  /** What to exit with once `signal` is aborted. */
  code(): number;
}

/**
 * Listens for SIGINT, SIGTERM, SIGHUP and for docker's end. A second signal is left to its default:
 * it ends the process.
 */
export function interrupt(env: NodeJS.ProcessEnv): Interrupt {
  const stop = new AbortController();
  let code = exitCodes.signal(constants.signals.SIGINT);
  const wish = (name: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): void => {
    code = exitCodes.signal(constants.signals[name]);
    stop.abort();
  };
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of names) process.once(name, wish);
  const watch = watchDocker(env['DOCKER_CLI_PLUGIN_SOCKET'], () => stop.abort());
  return {
    signal: stop.signal,
    code: () => code,
    [Symbol.dispose]: () => {
      for (const name of names) process.removeListener(name, wish);
      clearInterval(watch);
    },
  };
}

/**
 * A signal sent to docker alone does not reach its plugin. Instead docker gives it the name of an
 * abstract unix socket, which it closes to say "stop" (docker/cli, cli-plugins/socket); it also goes
 * with docker itself. Node 20 cannot connect to such a socket, because it pads the name to the full
 * 108 bytes of an address; so this looks in the kernel's list whether the name is still there.
 */
function watchDocker(socket: string | undefined, gone: () => void): NodeJS.Timeout | undefined {
  if (socket === undefined || !socket.startsWith('@') || !listed(socket)) return undefined;
  const timer = setInterval(() => {
    if (listed(socket)) return;
    clearInterval(timer);
    gone();
  }, LOOK_MS);
  return timer.unref();
}

function listed(socket: string): boolean {
  try {
    return readFileSync('/proc/net/unix', 'latin1').includes(socket);
  } catch {
    return false;
  }
}
