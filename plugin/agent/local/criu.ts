import { CoatError } from '../../../driver/host/errors.ts';
import { HOST_PATH } from '../../criu/gate.ts';
import type { HostSide } from '../../criu/host.ts';

/**
 * Which CRIU the host has.
 *
 * @throws CoatError `no-criu`
 */
export async function hostCriu(host: HostSide): Promise<{ version: string; path: string }> {
  const options = { env: { PATH: HOST_PATH }, timeout: 3_000 };
  const path = await host
    .run(['sh', '-c', 'command -v criu'], options)
    .then(({ stdout }) => stdout.trim())
    .catch(() => '');
  if (path === '') throw new CoatError('no-criu', 'this host has no criu', { hint: 'apt install criu' });
  const { stdout } = await host.run([path, '--version'], options);
  return { path, version: /^Version:\s*(\S+)/m.exec(stdout)?.[1] ?? stdout.trim() };
}
