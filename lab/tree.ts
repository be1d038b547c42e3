import { run } from '../driver/host/run.ts';
import { until } from '../driver/host/until.ts';

/**
 * Removes a directory and all that is in it; none is fine. Tries again for a while: a program that is
 * just being killed may write a last file. Never goes into another file system that is mounted there.
 */
export async function removeTree(path: string): Promise<void> {
  await until(`${path} to be gone`, async () => {
    await run(['rm', '--recursive', '--force', '--one-file-system', path]);
    return true;
  }, { every: 100 });
}
