import { copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../driver/host/run.ts';
import { baseRootfs } from './base.ts';
import { bundle } from './build.ts';
import { buildWithDocker, canBuild } from './docker.ts';
import { BUNDLE, FILES, ROOT } from './places.ts';

/**
 * Makes dist/plugin, which `docker plugin create` takes: with Docker and the Dockerfile where that
 * works, otherwise from the same packages with mmdebstrap.
 *
 * @returns its directory
 */
export async function makePlugin(tell: (line: string) => void): Promise<string> {
  await bundle();
  const rootfs = join(BUNDLE, 'rootfs');
  if (await canBuild()) {
    tell('building the root file system with Docker');
    await buildWithDocker(rootfs);
  } else {
    const base = await baseRootfs(tell);
    await rm(rootfs, { recursive: true, force: true });
    await mkdir(BUNDLE, { recursive: true });
    // hard links where the cache is on the same disk: nothing is copied, and nothing may be written to in place
    await run(['cp', '--archive', '--link', base, rootfs]).catch(async () => {
      await rm(rootfs, { recursive: true, force: true });
      await run(['cp', '--archive', base, rootfs]);
    });
    await run(['cp', '--archive', `${FILES}/.`, rootfs]);
  }
  await copyFile(join(ROOT, 'config.json'), join(BUNDLE, 'config.json'));
  return BUNDLE;
}

/** Size of a directory on disk, in MB. */
async function megabytes(path: string): Promise<number> {
  const { stdout } = await run(['du', '--summarize', '--block-size=1M', path]);
  return Number(stdout.split('\t')[0]);
}

if (process.argv[1] === import.meta.filename) {
  const tell = (line: string): void => console.log(`plugin: ${line}`);
  const place = await makePlugin(tell);
  tell(`${place} is ready, ${await megabytes(place)} MB; docker plugin create coat/agent ${place}`);
}
