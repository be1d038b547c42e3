import { METADATA_WORD } from './metadata.ts';

/**
 * Docker hands a CLI plugin its own whole command line:
 *
 *     docker --context edge coat ls       → --context edge coat ls
 *     docker help coat ls                 → help coat ls
 *     docker __complete coat migrate w    → __complete coat migrate w
 *     (when listing plugins)              → docker-cli-plugin-metadata
 *
 * So docker's global flags come first, and have to be understood to find the word `coat`.
 */
export type Invocation =
  | { kind: 'metadata' }
  | { kind: 'complete'; describe: boolean; globals: Globals; words: string[]; toComplete: string }
  | { kind: 'run'; globals: Globals; args: string[] };

/** Those of docker's global flags that matter here. */
export interface Globals {
  /** `-H`, which docker lets one repeat. */
  hosts: string[];
  context?: string;
  /** Directory of docker's own settings. */
  config?: string;
  debug: boolean;
  help: boolean;
}

const WITH_VALUE = new Set(['config', 'context', 'host', 'log-level', 'tlscacert', 'tlscert', 'tlskey']);
const SHORT: Record<string, string> = { c: 'context', D: 'debug', H: 'host', h: 'help', l: 'log-level', v: 'version' };

/** What docker wants of the plugin. `argv` is without the interpreter and the program. */
export function understand(argv: readonly string[]): Invocation {
  if (argv[0] === METADATA_WORD) return { kind: 'metadata' };
  if (argv[0] === '__complete' || argv[0] === '__completeNoDesc') {
    const { globals, rest } = splitGlobals(argv.slice(1));
    const words = withoutName(rest);
    return { kind: 'complete', describe: argv[0] === '__complete', globals, words: words.slice(0, -1), toComplete: words.at(-1) ?? '' };
  }
  const { globals, rest } = splitGlobals(argv);
  const args = rest[0] === 'help' ? ['help', ...withoutName(rest.slice(1))] : withoutName(rest);
  return { kind: 'run', globals, args: globals.help ? [...args, '--help'] : args };
}

function withoutName(words: readonly string[]): string[] {
  return words[0] === 'coat' ? words.slice(1) : [...words];
}

/**
 * Takes docker's global flags off the front, up to the first word that is none. Values may follow
 * (`-H x`, `--host x`) or be part of the flag (`-Hx`, `-H=x`, `--host=x`), short flags may share a
 * dash (`-DH x`), and a switch may carry a value (`--tls=false`).
 */
export function splitGlobals(argv: readonly string[]): { globals: Globals; rest: string[] } {
  const globals: Globals = { hosts: [], debug: false, help: false };
  const words = [...argv];
  while (words[0] !== undefined && words[0].startsWith('-') && words[0] !== '-') {
    const flag = words.shift()!;
    if (flag === '--') break;
    if (flag.startsWith('--')) takeLong(flag.slice(2), words, globals);
    else takeShort(flag.slice(1), words, globals);
  }
  return { globals, rest: words };
}

function takeLong(text: string, words: string[], globals: Globals): void {
  const equals = text.indexOf('=');
  const name = equals < 0 ? text : text.slice(0, equals);
  const value = equals < 0 ? undefined : text.slice(equals + 1);
  note(globals, name, WITH_VALUE.has(name) ? (value ?? words.shift() ?? '') : value);
}

function takeShort(text: string, words: string[], globals: Globals): void {
  const name = SHORT[text.charAt(0)] ?? text.charAt(0);
  const tail = text.slice(1);
  const attached = tail.startsWith('=') ? tail.slice(1) : tail;
  if (WITH_VALUE.has(name)) {
    note(globals, name, tail === '' ? (words.shift() ?? '') : attached);
  } else if (tail === '' || tail.startsWith('=')) {
    note(globals, name, tail === '' ? undefined : attached);
  } else {
    note(globals, name, undefined);
    takeShort(tail, words, globals);
  }
}

function note(globals: Globals, name: string, value: string | undefined): void {
  const on = value === undefined || !['false', 'f', 'F', 'FALSE', 'False', '0'].includes(value);
  if (name === 'host') globals.hosts.push(value ?? '');
  else if (name === 'context') globals.context = value ?? '';
  else if (name === 'config') globals.config = value ?? '';
  else if (name === 'debug') globals.debug = on;
  else if (name === 'help') globals.help = on;
}
