import manifest from '../../package.json' with { type: 'json' };

/** The version of this program. */
export const version = manifest.version;

/** The word docker starts every CLI plugin with to learn what it is. */
export const METADATA_WORD = 'docker-cli-plugin-metadata';

/** The answer. Docker asks on each `docker help`, so this file imports nothing slow. */
export const metadata = {
  SchemaVersion: '0.1.0',
  Vendor: 'COAT',
  Version: version,
  ShortDescription: 'Move running containers between hosts, TCP connections kept',
};
