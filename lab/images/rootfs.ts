import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CoatError } from '../../driver/host/errors.ts';
import { removeTree } from '../tree.ts';
import type { Build } from './build.ts';
import { cached } from './cached.ts';
import { withKeyring } from './keyring.ts';
import { mmdebstrapArgv } from './mmdebstrap.ts';
import { cacheKey, LEFT_OUT, type Recipe } from './recipes.ts';

const BUILD_MS = 30 * 60_000;

/** The directory of a root file system made from a recipe, from the cache or built now. */
export async function rootfs(label: string, recipe: Recipe, build: Build): Promise<string> {
  const place = await cached(label, cacheKey(recipe), build, async (directory) => {
    build.tell(`building ${label} from Debian ${recipe.suite} packages, about a minute, once`);
    const root = join(directory, 'rootfs');
    await withKeyring(build, async (keyring) => {
      await removeTree(root);
      await build.run(mmdebstrapArgv(keyring, options(recipe), recipe.suite, root), { timeout: BUILD_MS });
    });
    if (existsSync(join(root, recipe.proof))) return;
    throw new CoatError('lab-rootfs', `the root file system ${label} came out without /${recipe.proof}`);
  });
  return join(place, 'rootfs');
}

export function options(recipe: Recipe): string[] {
  return [
    '--variant=minbase',
    // what is whole is flushed at once, at the end (see cached.ts)
    '--dpkgopt=force-unsafe-io',
    ...LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`),
    `--include=${recipe.packages.join(',')}`,
    ...laterHooks(recipe),
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
