import { writeFile } from 'node:fs/promises';
import type { HostSide } from './host.ts';
import { FILES } from '../pager/files.ts';

/**
 * What CRIU says and waits for at its stations (criu(8), `--action-script`; criu/action-scripts.c). Each station runs the
 * script once, so that a stop costs the start of one shell, and what is no station of ours next to nothing.
 *
 * A script talks through {@link Pipes}. When the agent dies its reads end without a word, which CRIU takes as a no.
 */
const say = (directory: string, words: string): string => `echo "${words}" 1<>${directory}/events`;
const ask = (directory: string): string => `read -r word <${directory}/go && [ "$word" = go ]`;

/** Waits for the archives that are made beside a dump, see wrapper.ts. */
const archived = (directory: string): string =>
  `if [ -e ${directory}/started ]; then while read -r line; do read -r code <&8 && [ "$code" = 0 ] || exit 1; done <${directory}/started 8<${directory}/tars; fi`;

/**
 * A dump stops before it looks at any task: by then CRIU has been loaded and knows its kernel. And it says when its images
 * are whole, which is before it has let go of the tasks.
 */
export function dumpActions(directory: string): string {
  return script({ 'pre-dump': [say(directory, 'waits'), ask(directory)], 'post-dump': [archived(directory), say(directory, 'dumped')] });
}

/**
 * A restore tells the pid of the container's first task as soon as there is one, stops when everything is restored and nothing
 * has run yet (a no is still taken back whole there), and says when nothing is left but to let the tasks run: from there on CRIU
 * goes through whatever happens (criu/cr-restore.c, restore_root_task).
 */
export function restoreActions(directory: string): string {
  return script({
    'setup-namespaces': [`echo "$CRTOOLS_INIT_PID" >${directory}/${FILES.init}`, `echo "$CRTOOLS_INIT_PID" 1<>${directory}/pid`, say(directory, 'pid $CRTOOLS_INIT_PID')],
    'post-restore': [say(directory, 'ready'), ask(directory)],
    'pre-resume': [say(directory, 'resumes')],
  });
}

/** @returns the option that goes into a configuration file of CRIU's */
export async function writeActions(host: HostSide, directory: string, actions: (directory: string) => string): Promise<string> {
  const path = `${directory}/actions`;
  await writeFile(host.path(path), actions(directory), { mode: 0o755 });
  return `action-script ${path}\n`;
}

function script(stations: Record<string, string[]>): string {
  const cases = Object.entries(stations).map(([station, commands]) => `${station}) ${commands.join(' && ')} ;;`);
  return `#!/bin/sh\ncase $CRTOOLS_SCRIPT_ACTION in\n${cases.join('\n')}\nesac\n`;
}
