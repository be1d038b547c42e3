import { join } from 'node:path';
import type { Build } from './build.ts';
import type { Recipe } from './recipes.ts';
import { rootfs } from './rootfs.ts';

const RECIPE: Recipe = { suite: 'trixie', packages: ['docker-registry'], proof: 'usr/bin/docker-registry' };

/** The program of a registry for images (github.com/distribution/distribution), as Debian has it. It runs on every host. */
export const registryProgram = async (build: Build): Promise<string> => join(await rootfs('registry', RECIPE, build), RECIPE.proof);
