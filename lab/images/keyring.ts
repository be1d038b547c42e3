import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CoatError } from '../../driver/host/errors.ts';
import { RunError } from '../../driver/host/run.ts';
import { removeTree } from '../tree.ts';
import type { Build } from './build.ts';
import { cached } from './cached.ts';
import { mmdebstrapArgv } from './mmdebstrap.ts';
import { cacheKey } from './recipes.ts';

const PACKAGE = 'debian-archive-keyring';

/** Debian's keys in this machine's package, and at the same place in every other version of it. */
const KEYRING = `/usr/share/keyrings/${PACKAGE}.gpg`;

/**
 * From the keys an older system has (Ubuntu 22.04: none later than Debian 11's) to those the lab
 * needs: each suite is signed with a key that the package before has, and has the next one's key in
 * its own package. So nothing is trusted that the machine's distribution does not vouch for.
 */
const CHAIN = ['bullseye', 'trixie'];

/**
 * Does something with the keyring of this machine, and when that does not have the keys for it, again
 * with a newer one.
 */
export async function withKeyring<T>(build: Build, use: (keyring: string) => Promise<T>): Promise<T> {
  try {
    return await use(KEYRING);
  } catch (error) {
    if (!lacksKey(error)) throw error;
  }
  return use(await newerKeyring(build));
}

/** As gpgv and as sqv say it, through apt. */
export const lacksKey = (error: unknown): boolean => error instanceof RunError && /NO_PUBKEY|Missing key/.test(error.stderr);

async function newerKeyring(build: Build): Promise<string> {
  const place = await cached('keyring', cacheKey(CHAIN), build, async (directory) => {
    build.tell(`the package ${PACKAGE} of this machine is old; following Debian's signatures to a newer one`);
    let keyring = KEYRING;
    for (const suite of CHAIN) keyring = await keyringOf(suite, keyring, directory, build);
  });
  return join(place, `${CHAIN.at(-1)}.gpg`);
}

async function keyringOf(suite: string, keyring: string, directory: string, build: Build): Promise<string> {
  const root = join(directory, 'root');
  const target = join(directory, `${suite}.gpg`);
  try {
    await build.run(mmdebstrapArgv(keyring, ['--variant=extract', `--include=${PACKAGE}`], suite, root));
  } catch (cause) {
    throw new CoatError('lab-keys', `the package ${PACKAGE} of this machine is too old for what the lab needs, and a newer one could not be had from Debian ${suite}`, {
      hint: `install that of Debian 13 by hand, from a source you trust; packages.debian.org has it`,
      cause,
    });
  }
  await copyFile(join(root, KEYRING), target);
  await removeTree(root);
  return target;
}
