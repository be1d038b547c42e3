import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { CoatError } from '../../driver/host/errors.ts';
import type { Globals } from './argv.ts';

/**
 * Refuses when docker is told to work on another machine: the answer would be about the wrong one.
 * Only a unix socket is taken for this machine; a TCP address of it may be the end of a tunnel.
 *
 * @throws CoatError `other-machine`, `no-context`
 */
export function checkMachine(globals: Globals, env: NodeJS.ProcessEnv): void {
  const other = dockerHosts(globals, env).find((host) => host !== '' && !host.startsWith('unix://'));
  if (other === undefined) return;
  throw new CoatError('other-machine', `docker is pointed at ${other}, but docker coat talks to the agent of this machine: run it on that host.`);
}

/**
 * Where docker would connect to, by docker's own precedence: `-H`, `--context`, `DOCKER_HOST`,
 * `DOCKER_CONTEXT`, the context last chosen with `docker context use`. The context `default` stands
 * for `DOCKER_HOST`. Empty where docker would use its default socket.
 */
export function dockerHosts(globals: Globals, env: NodeJS.ProcessEnv): string[] {
  if (globals.hosts.length > 0) return globals.hosts;
  const directory = globals.config || env['DOCKER_CONFIG'] || join(homedir(), '.docker');
  const context = globals.context || (env['DOCKER_HOST'] ? 'default' : env['DOCKER_CONTEXT'] || chosenContext(directory));
  return [context === 'default' ? (env['DOCKER_HOST'] ?? '') : hostOfContext(directory, context)];
}

function chosenContext(directory: string): string {
  try {
    const settings = JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8')) as { currentContext?: string };
    return settings.currentContext || 'default';
  } catch {
    return 'default'; // no settings, or none docker could read either
  }
}

/** Docker keeps a context under the hash of its name. */
function hostOfContext(directory: string, context: string): string {
  const id = createHash('sha256').update(context).digest('hex');
  try {
    const meta = JSON.parse(readFileSync(join(directory, 'contexts', 'meta', id, 'meta.json'), 'utf8')) as Context;
    return meta.Endpoints?.docker?.Host ?? '';
  } catch (cause) {
    throw new CoatError('no-context', `docker has no context "${context}".`, { hint: "See 'docker context ls'.", cause });
  }
}

interface Context {
  Endpoints?: { docker?: { Host?: string } };
}
