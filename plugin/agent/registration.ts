import { CoatError } from '../../driver/host/errors.ts';

/** The engine's settings file as it is, and as it has to be for the engine to know coat-runc; equal where nothing is to be done. */
export interface Registration {
  /** `undefined` where there is no such file. */
  before: string | undefined;
  after: string | undefined;
}

type Settings = Record<string, unknown> & { runtimes?: Record<string, unknown> };

/** The name under which the engine knows coat-runc. */
export const RUNTIME = 'coat';

/**
 * The engine's settings (daemon.json) with the runtime `coat` added; everything else stays.
 *
 * @param program path of coat-runc on the host
 * @throws CoatError `daemon-json`, where the file cannot be read or means something else by `coat`
 */
export function withRuntime(text: string | undefined, program: string): string {
  const settings = parse(text);
  const known = settings.runtimes?.[RUNTIME];
  if (pathOf(known) === program) return text!;
  if (known !== undefined) {
    throw new CoatError('daemon-json', `daemon.json has a runtime ${RUNTIME} already, and it is not ${program}`, { hint: 'remove that entry, or give it another name' });
  }
  return format({ ...settings, runtimes: { ...settings.runtimes, [RUNTIME]: { path: program } } }, text);
}

/**
 * The settings without our runtime. What was changed since by others stays; where nothing was, exactly the file of before.
 *
 * @param done what the registration did, if that is known
 * @returns `undefined` for no file
 */
export function withoutRuntime(text: string | undefined, program: string, done?: Registration): string | undefined {
  if (text === undefined || text === done?.after) return text === undefined ? undefined : done?.before;
  const { runtimes = {}, ...others } = parse(text);
  if (pathOf(runtimes[RUNTIME]) !== program) return text;
  const { [RUNTIME]: _ours, ...rest } = runtimes;
  return format(Object.keys(rest).length === 0 ? others : { ...others, runtimes: rest }, text);
}

/** The same settings with runtimes named, if none: an engine that reads none keeps those it has until its restart (moby daemon/reload.go). */
export function namingRuntimes(text: string | undefined): string {
  const settings = parse(text);
  return settings.runtimes !== undefined ? text! : format({ ...settings, runtimes: {} }, text);
}

/**
 * The settings file of an engine, from its command line (dockerd(8)).
 *
 * @throws CoatError `daemon-flags`, where runtimes are given as flags: the engine does not take them from both
 */
export function settingsFile(argv: readonly string[]): string {
  if (argv.some((word) => /^--add-runtime(=|$)/.test(word))) {
    throw new CoatError('daemon-flags', 'this engine is given its runtimes by --add-runtime, and then takes none from daemon.json', {
      hint: 'add --add-runtime coat=/var/lib/coat/bin/coat-runc to its flags, and restart it',
    });
  }
  const at = argv.findIndex((word) => /^--config-file(=|$)/.test(word));
  if (at < 0) return '/etc/docker/daemon.json';
  return argv[at]!.split('=')[1] ?? argv[at + 1] ?? '/etc/docker/daemon.json';
}

function parse(text: string | undefined): Settings {
  if (text === undefined || text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CoatError('daemon-json', 'daemon.json is not JSON, so nothing can be added to it', { hint: 'correct it; dockerd --validate says where it is wrong', cause });
  }
  const runtimes = isObject(value) ? value['runtimes'] : undefined;
  if (!isObject(value) || (runtimes !== undefined && !isObject(runtimes))) {
    throw new CoatError('daemon-json', 'daemon.json does not have the form the engine wants', { hint: 'correct it; dockerd --validate says where it is wrong' });
  }
  return value;
}

function pathOf(runtime: unknown): unknown {
  return isObject(runtime) ? runtime['path'] : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Indented as it was. */
function format(settings: Settings, like: string | undefined): string {
  const indent = /^[{[]\s*\n([ \t]+)/.exec(like ?? '')?.[1] ?? '  ';
  return `${JSON.stringify(settings, undefined, indent)}\n`;
}
