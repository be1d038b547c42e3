import { CoatError, explain } from '../../driver/host/errors.ts';
import { readIfThere } from '../../driver/host/files.ts';
import { HOST_PATH } from './wrapper.ts';
import type { HostSide } from './host.ts';

/** A CRIU that works on this host. */
export interface Criu {
  version: string;
  /** Where the program is, on the host. */
  path: string;
  /** Whether it came with the plugin. */
  carried: boolean;
  /** Shell words that start it. */
  command: string;
  /** A line of shell that makes its environment. */
  environment: string;
}

export type Candidate = Criu | { problem: string };

/**
 * The host's own CRIU where it is at least as new as the one the plugin carries and works, since its distribution looks after
 * it; otherwise the carried one.
 */
export function chooseCriu(own: Candidate, carried: Candidate): Candidate {
  if ('problem' in carried) return 'problem' in own ? { problem: `${own.problem}; ${carried.problem}` } : own;
  return 'problem' in own || compareVersions(own.version, carried.version) < 0 ? carried : own;
}

/** Below 0 where `a` is older, above where it is newer: `3.17.1` < `4.2` = `4.2.0`. */
export function compareVersions(a: string, b: string): number {
  const numbers = (version: string): number[] => version.split('.').map((part) => Number.parseInt(part, 10) || 0);
  const [left, right] = [numbers(a), numbers(b)];
  const differing = [...left.keys(), ...right.keys()].find((i) => (left[i] ?? 0) !== (right[i] ?? 0));
  return differing === undefined ? 0 : (left[differing] ?? 0) - (right[differing] ?? 0);
}

/** How the CRIU of a directory with its own libraries is started, whatever the host's are: by the loader beside it (ld.so(8)). */
export function startCarried(directory: string): Pick<Criu, 'command' | 'environment'> {
  return {
    command: `${directory}/ld.so --library-path ${directory} --argv0 criu ${directory}/criu`,
    // none of the plugins of the host's own CRIU, which is of another version (criu/plugin.c, cr_plugin_init)
    environment: `export CRIU_LIBS_DIR=${directory}/plugins`,
  };
}

/** Finds the CRIU for the moves of this host. */
export class CriuFinder {
  readonly #host: HostSide;
  readonly #carried: string;
  #known: { own: string; answer: Promise<Candidate> } | undefined;

  /** @param carried directory on the host under which the agent puts the CRIU it carries, see agent/carried.ts */
  constructor(host: HostSide, carried: string) {
    this.#host = host;
    this.#carried = carried;
  }

  /**
   * The choice is made anew where the host's own CRIU has changed since.
   *
   * @throws CoatError `no-criu`
   */
  async find(): Promise<Criu> {
    const own = await this.#identity();
    if (this.#known?.own !== own) this.#known = { own, answer: this.#choose(own) };
    const answer = await this.#known.answer;
    if (!('problem' in answer)) return answer;
    this.#known = undefined;
    throw new CoatError('no-criu', `CRIU does not work on this host: ${answer.problem}`, { hint: "the plugin brings its own; look at the agent's log for why it could not be put on this host" });
  }

  async #choose(own: string): Promise<Candidate> {
    return chooseCriu(await this.#ownCriu(own.split(' ')[0]!), await this.#carriedCriu());
  }

  /** Its path, inode, size and time, in one line that begins with the path; empty where the host has none. */
  async #identity(): Promise<string> {
    const asked = this.#host.run(['sh', '-c', 'path=$(command -v criu) && stat --dereference --format "%n %i %s %Y" "$path"'], { env: { PATH: HOST_PATH }, timeout: 5_000 });
    return asked.then(({ stdout }) => stdout.trim(), () => '');
  }

  async #ownCriu(path: string): Promise<Candidate> {
    if (path === '') return { problem: 'the host has none' };
    const candidate = await this.#ask({ path, carried: false, command: path, environment: ':' });
    if ('problem' in candidate) return candidate;
    return this.#run(candidate, 'check').then(() => candidate, (error: unknown) => ({ problem: `${path} fails its own check: ${explain(error)}` }));
  }

  async #carriedCriu(): Promise<Candidate> {
    const id = (await readIfThere(this.#host.path(`${this.#carried}/current`)))?.trim();
    if (id === undefined) return { problem: 'the plugin has brought none' };
    const directory = `${this.#carried}/${id}`;
    return this.#ask({ path: `${directory}/criu`, carried: true, ...startCarried(directory) });
  }

  async #ask(criu: Omit<Criu, 'version'>): Promise<Candidate> {
    try {
      const { stdout } = await this.#run(criu, '--version');
      const version = /^Version:\s*(\S+)/m.exec(stdout)?.[1];
      return version === undefined ? { problem: `${criu.path} says "${stdout.trim()}"` } : { ...criu, version };
    } catch (error) {
      return { problem: explain(error) };
    }
  }

  #run({ command, environment }: Pick<Criu, 'command' | 'environment'>, argument: string): Promise<{ stdout: string }> {
    return this.#host.run(['sh', '-c', `${environment}; exec ${command} ${argument}`], { env: { PATH: HOST_PATH }, timeout: 10_000 });
  }
}
