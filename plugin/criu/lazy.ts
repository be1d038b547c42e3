import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { spawn } from 'node:child_process';
import { CoatError } from '../../driver/host/errors.ts';
import { readIfThere } from '../../driver/host/files.ts';
import { until } from '../../driver/host/until.ts';
import type { HostSide } from './host.ts';
import { Inventory, INVENTORY } from './inventory.ts';
import { lastErrors } from './log.ts';
import { outliving } from './outliving.ts';
import { FILES } from './pagerfiles.ts';
import type { Criu } from './program.ts';
import { HOST_PATH } from './wrapper.ts';

/** Beside the agent's own program, see image/build.ts. */
const PROGRAM = join(dirname(process.argv[1] ?? ''), 'pager.cjs');
/** CRIU's images, as `criu lazy-pages` sees them. */
const IMAGES = 'lazy';
/** How long a program of the host may take to start, or to end, ms. */
const START_MS = 10_000;
const END_MS = 10_000;

/** The processes that bring the memory of a container that is restored without it: `pager/main.ts`, and `criu lazy-pages` below it. */
export class LazyPages {
  readonly #host: HostSide;
  readonly #directory: string;
  readonly #inventory: Inventory;

  private constructor(host: HostSide, directory: string, inventory: Inventory) {
    this.#host = host;
    this.#directory = directory;
    this.#inventory = inventory;
  }

  /**
   * Starts them ahead of the blackout, as far as they go without images: as a restore does, CRIU waits for the first.
   *
   * @param directory of the restore, on the host
   * @throws CoatError `pager`
   */
  static async start(host: HostSide, criu: Criu, directory: string, containerId: string): Promise<LazyPages> {
    const images = `${directory}/${IMAGES}`;
    await mkdir(host.path(images));
    const inventory = await Inventory.make(host, images);
    const words = [criu.command, '--no-default-config', 'lazy-pages', '--page-server', '--ps-socket 3', '--status-fd 4', `--images-dir ${images}`, `--work-dir ${directory}/work`, '-o lazy-pages.log'];
    const command = `PATH=${HOST_PATH}; ${criu.environment}; exec ${words.join(' ')}`;
    const root = host.path('');
    const [file, ...args] = outliving([process.execPath, PROGRAM, root, directory, containerId, command], root);
    spawn(file, args, { detached: true, stdio: 'ignore' }).unref();
    const ended = until('the pager to end', () => readIfThere(host.path(`${directory}/${FILES.outcome}`)), { timeout: START_MS, every: 20 }).then((why) => {
      throw new CoatError('pager', `what fetches memory could not be started: ${why}`);
    });
    ended.catch(() => undefined);
    await inventory.reached(ended);
    return new LazyPages(host, directory, inventory);
  }

  /** Lets CRIU take the processes of a restore in, which may begin when this returns. @param names of the images, which are all there */
  async ready(names: readonly string[], inventory: string): Promise<void> {
    // CRIU takes the names of its images from the directory it was started with
    for (const name of names) if (name !== INVENTORY) symlinkSync(`../images/${name}`, this.#host.path(`${this.#directory}/${IMAGES}/${name}`));
    await this.#inventory.give(inventory);
    // that its socket is there (criu/uffd.c, LAZY_PAGES_SOCK_NAME) does not say yet that it listens
    await until('CRIU to take processes in', () => access(this.#host.path(`${this.#directory}/${FILES.ready}`)).then(() => true, () => false), { timeout: START_MS, every: 1 }).catch(async (cause: unknown) => {
      const log = await readFile(this.#host.path(`${this.#directory}/work/lazy-pages.log`), 'utf8').catch(() => '');
      throw new CoatError('pager', `what fetches memory has failed: ${lastErrors(log)}`, { cause });
    });
  }
}

/** Whether all memory is on this host, and the source is needed no more. */
export const pagesHere = (host: HostSide, directory: string): boolean => existsSync(host.path(`${directory}/${FILES.here}`));

/** Waits until the container may run, as no page is missing that it has to wait for. */
export async function pagesGo(host: HostSide, directory: string, timeout: number): Promise<void> {
  await until('the rest of the memory', () => existsSync(host.path(`${directory}/${FILES.go}`)) || pagerPid(host, directory) === undefined, { timeout, every: 1 });
}

/** `whole`, or `lost` and why; nothing while pages are missing. A directory that is gone has no outcome. */
export async function pagesOutcome(host: HostSide, directory: string): Promise<string | undefined> {
  return readIfThere(host.path(`${directory}/${FILES.outcome}`));
}

/** Whether there is a pager that works for this directory. */
export const pagerAlive = (host: HostSide, directory: string): boolean => pagerPid(host, directory) !== undefined;

/** Where it takes connections, for this process. */
export const pagerSocket = (host: HostSide, directory: string): string => host.path(`${directory}/${FILES.socket}`);

/** Ends the container, if it has begun, and the pager, and waits for its end. May be called by whoever has not started it; none is fine. */
export async function giveUpPages(host: HostSide, directory: string, why: string): Promise<void> {
  const pid = pagerPid(host, directory);
  if (pid === undefined) return;
  await writeFile(host.path(`${directory}/${FILES.why}`), why);
  process.kill(pid, 'SIGTERM');
  await until('the pager to end', () => pagerPid(host, directory) === undefined, { timeout: END_MS, every: 5 });
}

function pagerPid(host: HostSide, directory: string): number | undefined {
  try {
    const pid = Number(readFileSync(host.path(`${directory}/${FILES.pid}`), 'utf8'));
    return readFileSync(host.path(`/proc/${pid}/cmdline`), 'utf8').includes(directory) ? pid : undefined;
  } catch {
    return undefined;
  }
}
