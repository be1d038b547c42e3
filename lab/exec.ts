import { once } from 'node:events';
import { constants } from 'node:os';
import type { LabHost } from './host.ts';

/**
 * Runs a command inside a host with our own standard streams and returns its exit code, as a shell
 * counts it (128 + n after signal n).
 */
export async function execInside(host: LabHost, argv: readonly string[]): Promise<number> {
  const child = host.spawn(argv, { stdio: 'inherit' });
  // Ctrl-C reaches the command through the terminal; what is sent to us alone is passed on
  process.on('SIGINT', () => undefined);
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => host.signal(child, signal));
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return code ?? 128 + constants.signals[signal!];
}
