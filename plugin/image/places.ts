import { join } from 'node:path';

/** The checkout. */
export const ROOT = join(import.meta.dirname, '../..');

/** What a build makes; safe to delete. */
export const DIST = join(ROOT, 'dist');

/** What goes into the plugin's root file system besides Debian's packages, as a tree. */
export const FILES = join(DIST, 'files');

/** The CLI plugin: one file. */
export const CLI = join(DIST, 'docker-coat');

/** The plugin as `docker plugin create` takes it: config.json and rootfs. */
export const BUNDLE = join(DIST, 'plugin');

/** What a host gets: the bundle in one file, the command, their checksums. */
export const RELEASE = join(DIST, 'release');
export const PLUGIN_ARCHIVE = join(RELEASE, `coat-plugin-${process.arch}.tar.gz`);
export const EXECUTABLE = join(RELEASE, 'docker-coat');

/** The script that puts CRIU into the root file system. */
export const CARRY_CRIU = join(import.meta.dirname, 'carry-criu');

/** Root file systems of Debian packages only, outside the checkout, for all checkouts. */
export const CACHE = process.env['COAT_CACHE'] ?? '/var/cache/coat-plugin';
