import { cp, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { explain } from '../../driver/host/errors.ts';
import { readIfThere, writeAtomic } from '../../driver/host/files.ts';
import type { Log } from '../../driver/host/log.ts';
import type { Paths } from './paths.ts';

/**
 * Puts the CRIU of this image where programs of the host can run it: a directory named by its content, and a file `current`
 * that says which. A host where that fails can still use a CRIU of its own.
 */
export async function installCriu({ hostRoot, criuOnHost, criuShipped }: Paths, log: Log): Promise<void> {
  const place = join(hostRoot, criuOnHost);
  const current = join(place, 'current');
  try {
    const id = (await readIfThere(join(criuShipped, 'id')))?.trim();
    if (id === undefined) {
      log.warn({ path: criuShipped }, 'this image carries no CRIU: the host needs one of its own');
      return;
    }
    if ((await readIfThere(current))?.trim() !== id) {
      const draft = join(place, `${id}.new`);
      await rm(draft, { recursive: true, force: true });
      await mkdir(place, { recursive: true, mode: 0o755 });
      await cp(criuShipped, draft, { recursive: true });
      await rm(join(place, id), { recursive: true, force: true });
      await rename(draft, join(place, id));
      await writeAtomic(current, `${id}\n`, 0o644);
      log.info({ path: join(criuOnHost, id) }, 'CRIU installed');
    }
    // what an earlier version has brought; one that still dumps keeps the files it has open
    for (const name of await readdir(place)) if (name !== id && name !== 'current') await rm(join(place, name), { recursive: true, force: true });
  } catch (error) {
    log.error({ error: explain(error) }, 'the CRIU of this image could not be put on the host');
  }
}
