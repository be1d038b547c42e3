import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { run } from '../../driver/host/run.ts';
import { until } from '../../driver/host/until.ts';
import type { HostSide } from './host.ts';
import type { Criu } from './program.ts';

/** Where the host's programs are; the plugin's own PATH need not be the host's. */
export const HOST_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** How long runc may take to get as far as CRIU, ms. */
const RUNC_MS = 10_000;

/**
 * Makes runc wait at the last moment before CRIU works, so that its own start, its look at the container and its question for
 * CRIU's version are over before the blackout begins: a third of a small dump's time, and of a small restore's.
 *
 * runc finds a `criu` of ours in its PATH. The first time it is run is the question for the version (runc
 * libcontainer/criu_linux.go, checkCriuVersion), which goes through; the second time it says that it waits, and becomes CRIU
 * when it is told. Which CRIU that is, is our choice ({@link Criu}). {@link Gate.reached} is to be awaited before the freeze: should a runc ask otherwise, the move fails there.
 */
export class Gate {
  /** PATH for runc. */
  readonly path: string;
  readonly #waits: string;
  readonly #word: number;

  private constructor(path: string, waits: string, word: number) {
    this.path = path;
    this.#waits = waits;
    this.#word = word;
  }

  /** @param directory on the host, in memory */
  static async make(host: HostSide, directory: string, criu: Criu): Promise<Gate> {
    const gate = `${directory}/gate`;
    await mkdir(host.path(gate));
    await writeFile(host.path(`${gate}/criu`), script(gate, criu), { mode: 0o755 });
    await run(['mkfifo', '-m', '600', host.path(`${gate}/word`)]);
    // held open for both directions, so that nobody blocks on opening it and our death ends the wait
    const word = openSync(host.path(`${gate}/word`), constants.O_RDWR | constants.O_NONBLOCK);
    return new Gate(`${gate}:${HOST_PATH}`, host.path(`${gate}/waits`), word);
  }

  /** @param ended rejects when runc ended before it got here */
  async reached(ended: Promise<unknown>): Promise<void> {
    const early = ended.then(() => Promise.reject(new Error('runc ended before it started CRIU')));
    await Promise.race([until('runc to get as far as CRIU', () => access(this.#waits).then(() => true), { timeout: RUNC_MS, every: 2 }), early]);
  }

  open(): void {
    writeSync(this.#word, 'go\n');
  }

  /** Whoever waits gives up. After {@link Gate.open} it changes nothing. */
  close(): void {
    writeSync(this.#word, 'stop\n');
    closeSync(this.#word);
  }
}

function script(gate: string, { command, environment }: Criu): string {
  return `#!/bin/sh
PATH=${HOST_PATH}
${environment}
mkdir ${gate}/asked 2>/dev/null && exec ${command} "$@"
exec 9<${gate}/word
: >${gate}/waits
read -r word <&9 && [ "$word" = go ] && exec 9<&- nice -n -15 ${command} "$@"
`;
}
