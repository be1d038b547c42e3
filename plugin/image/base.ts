import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfThere, writeAtomic } from '../../driver/host/files.ts';
import { run } from '../../driver/host/run.ts';
import { leftOut, packages } from './lists.ts';
import { CACHE, CARRY_CRIU } from './places.ts';

const SUITE = 'trixie';
/** Changed by hand when the way of building changes, so that what is cached is built anew. */
const RECIPE = 1;
const STAMP = 'complete';
const BUILD_MS = 30 * 60_000;

/**
 * A root file system of Debian's packages alone, made without Docker by mmdebstrap(1), once for each
 * list of packages and way of carrying CRIU. It is built under another name and renamed when it is whole; without its stamp it
 * counts as broken.
 *
 * @returns its directory, which must not be written to
 */
export async function baseRootfs(tell: (line: string) => void): Promise<string> {
  const [wanted, unwanted, carryCriu] = await Promise.all([packages(), leftOut(), readFile(CARRY_CRIU, 'utf8')]);
  const key = createHash('sha256').update(JSON.stringify([RECIPE, SUITE, process.arch, wanted, unwanted, carryCriu])).digest('hex').slice(0, 12);
  const place = join(CACHE, `base-${key}`);
  if ((await readIfThere(join(place, STAMP))) === key) return join(place, 'rootfs');

  tell(`building the root file system from ${wanted.length} packages of Debian ${SUITE}, about a minute, once`);
  await mkdir(CACHE, { recursive: true });
  await removeDead();
  const draft = join(CACHE, `base-${key}.draft-${process.pid}`);
  const root = join(draft, 'rootfs');
  await mkdir(root, { recursive: true });
  try {
    await run([...ALONE, 'mmdebstrap', ...mmdebstrapFlags(wanted, unwanted), SUITE, root], { timeout: BUILD_MS });
    await run(['sync', '--file-system', draft]);
    await writeAtomic(join(draft, STAMP), key);
    await rm(place, { recursive: true, force: true });
    await rename(draft, place);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return join(place, 'rootfs');
}

/** Namespaces of its own, so that neither mounts nor processes outlive a build that is interrupted. */
const ALONE = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'] as const;

/** No mirror is named: mmdebstrap takes Debian's own default. */
function mmdebstrapFlags(wanted: readonly string[], unwanted: readonly string[]): string[] {
  return [
    '--mode=root',
    '--variant=minbase',
    '--quiet',
    `--include=${wanted.join(',')}`,
    // a testing suite's index may be older than it promises to be
    '--aptopt=Acquire::Check-Valid-Until "false"',
    `--setup-hook=sh '${CARRY_CRIU}' sources "$1"`,
    `--customize-hook=chroot "$1" sh -c "$(cat '${CARRY_CRIU}')" carry-criu install`,
    // last of all, when no maintainer script runs any more
    `--customize-hook=cd "$1" && rm -rf ${unwanted.join(' ')}`,
  ];
}

/** Drafts whose maker was killed. */
async function removeDead(): Promise<void> {
  for (const name of await readdir(CACHE)) {
    const pid = /\.draft-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && (await readIfThere(`/proc/${pid}/stat`)) === undefined) await rm(join(CACHE, name), { recursive: true, force: true });
  }
}
