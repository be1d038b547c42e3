import { chmod, copyFile, mkdir, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from '../../driver/host/errors.ts';
import type { Log } from '../../driver/host/log.ts';
import type { Paths } from './paths.ts';

/**
 * Puts coat-runc where the engine's settings name it. Replaced by a rename, since a container may be
 * starting through the old one at this moment.
 */
export async function installRuntime({ coatRuncShipped, coatRunc, coatRuncOnHost }: Paths, log: Log): Promise<void> {
  const shipped = await readOrNothing(coatRuncShipped);
  if (shipped === undefined) {
    log.warn({ path: coatRuncShipped }, 'this image has no coat-runc: containers cannot be restored on this host');
    return;
  }
  if ((await readOrNothing(coatRunc))?.equals(shipped)) return;
  await mkdir(dirname(coatRunc), { recursive: true, mode: 0o755 });
  await copyFile(coatRuncShipped, `${coatRunc}.new`);
  await chmod(`${coatRunc}.new`, 0o755);
  await rename(`${coatRunc}.new`, coatRunc);
  log.info({ path: coatRuncOnHost }, 'coat-runc installed');
}

async function readOrNothing(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
