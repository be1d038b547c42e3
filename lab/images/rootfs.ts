import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CoatError } from '../../driver/host/errors.ts';
import { run } from '../../driver/host/run.ts';
import { cached } from './cached.ts';
import { cacheKey, LEFT_OUT, type Recipe } from './recipes.ts';

/** Told what is being done and for how long to wait. */
export type Tell = (line: string) => void;

/**
 * The directory of a root file system built from a recipe, from the cache or built now.
 *
 * @param enter turns an argument list into one that runs inside the lab's cgroups
 */
export async function rootfs(label: string, recipe: Recipe, tell: Tell, wrap: Wrap): Promise<string> {
  const place = await cached(`${label}-${cacheKey(recipe)}`, async (directory) => {
    tell(`building ${label} from Debian ${recipe.suite} packages, about a minute, once`);
    const root = join(directory, 'rootfs');
    await mkdir(root);
    await run(wrap(mmdebstrapArgv(recipe, root)), { timeout: 30 * 60_000 });
    if (existsSync(join(root, recipe.proof))) return;
    throw new CoatError('lab-rootfs', `the root file system ${label} came out without /${recipe.proof}`);
  });
  return join(place, 'rootfs');
}

export type Wrap = (argv: readonly string[]) => [string, ...string[]];

/**
 * No mirror is named: mmdebstrap takes Debian's own default. It gets namespaces of its own, so that
 * neither its mounts nor its processes outlive it.
 */
function mmdebstrapArgv(recipe: Recipe, root: string): string[] {
  return [
    'unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc',
    'mmdebstrap', '--mode=root', '--variant=minbase', '--quiet',
    // a testing suite's index may be older than it promises to be
    '--aptopt=Acquire::Check-Valid-Until "false"',
    ...LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`),
    `--include=${recipe.packages.join(',')}`,
    ...laterHooks(recipe),
    recipe.suite,
    root,
  ];
}

/**
 * The later suite comes from the same mirror, with a priority that keeps everything else away from it,
 * and its packages are installed last: together with the rest, apt would take their
 * dependencies from there as well.
 */
function laterHooks({ suite, later }: Recipe): string[] {
  if (later === undefined) return [];
  const list = `sed -n 's/^deb \\(.*\\) ${suite} main$/deb \\1 ${later.suite} main/p' "$1"/etc/apt/sources.list > "$1"/etc/apt/sources.list.d/later.list`;
  const pin = `printf 'Package: *\\nPin: release n=${later.suite}\\nPin-Priority: 100\\n' > "$1"/etc/apt/preferences.d/later`;
  const wanted = later.packages.map((name) => `${name}/${later.suite}`).join(' ');
  return [
    `--setup-hook=${list} && test -s "$1"/etc/apt/sources.list.d/later.list && ${pin}`,
    `--customize-hook=chroot "$1" apt-get install --yes --no-install-recommends ${wanted}`,
  ];
}
