import { closeSync, constants, openSync, renameSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { run } from '../../driver/host/run.ts';
import { until } from '../../driver/host/until.ts';
import { codeOf } from '../../driver/host/errors.ts';
import type { HostSide } from './host.ts';

/** The first image that a restore opens (criu/cr-restore.c, cr_restore_tasks), and the last that a dump writes. */
export const INVENTORY = 'inventory.img';

/** How long runc and CRIU may take to get there, ms. */
const START_MS = 10_000;

/**
 * A restore that is started before there is anything to restore: its first image is a named pipe, so CRIU waits at opening it
 * with its own start behind it.
 */
export class Inventory {
  readonly #path: string;
  #fd: number | undefined;

  private constructor(path: string) {
    this.#path = path;
  }

  /** @param images CRIU's directory of images on the host */
  static async make(host: HostSide, images: string): Promise<Inventory> {
    const path = host.path(`${images}/${INVENTORY}`);
    await run(['mkfifo', '-m', '600', path]);
    return new Inventory(path);
  }

  /**
   * Waits until CRIU waits.
   *
   * @param ended rejects when there is nobody to wait for any more
   * @throws CoatError `timeout`
   */
  async reached(ended: Promise<never>): Promise<void> {
    await Promise.race([until('runc to get as far as CRIU', () => this.#opened(), { timeout: START_MS, every: 2 }), ended]);
  }

  /** Lets CRIU begin. @param file where the inventory is now */
  async give(file: string): Promise<void> {
    const bytes = await readFile(file);
    if (this.#fd === undefined) throw new Error('CRIU has not been waited for');
    // a few hundred bytes into an empty pipe are taken at once
    writeSync(this.#fd, bytes);
    this.close();
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  /** A CRIU that waits finds an empty image, and one that comes later none. May be called by whoever has not made the pipe. */
  static abandon(host: HostSide, images: string): void {
    const gone = host.path(`${images}/abandoned`);
    try {
      renameSync(host.path(`${images}/${INVENTORY}`), gone);
      closeSync(openSync(gone, constants.O_WRONLY | constants.O_NONBLOCK));
    } catch (error) {
      // never made, or nobody waits
      if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENXIO') throw error;
    }
  }

  #opened(): boolean {
    try {
      // refused for as long as nobody reads: fifo(7)
      this.#fd ??= openSync(this.#path, constants.O_WRONLY | constants.O_NONBLOCK);
      return true;
    } catch (error) {
      if (codeOf(error) !== 'ENXIO') throw error;
      return false;
    }
  }
}
