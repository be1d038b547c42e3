import manifest from '../../package.json' with { type: 'json' };

/** The version of the plugin. */
export const VERSION = manifest.version;
