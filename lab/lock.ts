import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { mkdir, open, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CoatError } from '../driver/host/errors.ts';
import { removeIfThere } from '../driver/host/files.ts';

/** `exclusive`: nobody beside us; `shared`: others who share as well. */
export type LockMode = 'exclusive' | 'shared';

export interface LockOptions {
  /** Written into the file, so that those who wait can say for whom. */
  what?: string;
  /** Told once, when the lock is not to be had at once: what its last exclusive holder wrote. */
  waiting?: (holder: string) => void;
  signal?: AbortSignal | undefined;
}

/**
 * A lock on a file that ends with its holder, however that ends: flock(2), which belongs to an open
 * descriptor. Node cannot call it, but flock(1), given our descriptor, locks it and ends; the lock
 * stays with us. No program we start gets the descriptor, so none of them keeps the lock.
 */
export class FileLock implements AsyncDisposable {
  readonly #path: string;
  readonly #file: FileHandle;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  /** Waits for as long as it takes. */
  static async take(path: string, mode: LockMode, { what = 'another command', waiting, signal }: LockOptions = {}): Promise<FileLock> {
    for (let told = false; ; ) {
      const lock = new FileLock(path, await opened(path));
      try {
        if (!(await flock(lock.#file, mode, false, signal))) {
          if (!told) waiting?.(await lock.#holder());
          told = true;
          await flock(lock.#file, mode, true, signal);
        }
        if (await lock.#current()) {
          if (mode === 'exclusive') await lock.#sign(what);
          return lock;
        }
      } catch (error) {
        await lock.release();
        throw error;
      }
      await lock.release();
    }
  }

  /** The lock when it is to be had at once, else `undefined`. */
  static async tryTake(path: string, mode: LockMode): Promise<FileLock | undefined> {
    const lock = new FileLock(path, await opened(path));
    if ((await flock(lock.#file, mode, false)) && (await lock.#current())) return lock;
    await lock.release();
    return undefined;
  }

  /**
   * The lock for its holder alone, at once.
   *
   * @param refusal what is thrown where another one has it; gets what that one wrote
   */
  static async takeNow(path: string, what: string, refusal: (holder: string) => Error): Promise<FileLock> {
    const lock = await FileLock.tryTake(path, 'exclusive');
    if (lock !== undefined) {
      await lock.#sign(what);
      return lock;
    }
    const other = new FileLock(path, await opened(path));
    const holder = await other.#holder();
    await other.release();
    throw refusal(holder);
  }

  async release(): Promise<void> {
    await this.#file.close();
  }

  /** Releases it and removes the file; for whoever has it alone. */
  async remove(): Promise<void> {
    await removeIfThere(this.#path);
    await this.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** False when the file was removed while we waited: then the lock is on a file nobody else sees. */
  async #current(): Promise<boolean> {
    const [ours, theirs] = await Promise.all([this.#file.stat(), stat(this.#path).catch(() => undefined)]);
    return ours.ino === theirs?.ino && ours.dev === theirs.dev;
  }

  async #sign(what: string): Promise<void> {
    await this.#file.truncate(0);
    await this.#file.write(`${what} (process ${process.pid})`, 0);
  }

  async #holder(): Promise<string> {
    const buffer = Buffer.alloc(200);
    const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, 0);
    return buffer.toString('utf8', 0, bytesRead) || 'another command';
  }
}

async function opened(path: string): Promise<FileHandle> {
  await mkdir(dirname(path), { recursive: true });
  return open(path, constants.O_RDWR | constants.O_CREAT, 0o644);
}

/** @returns false when it would have to wait and must not */
async function flock(file: FileHandle, mode: LockMode, wait: boolean, signal?: AbortSignal): Promise<boolean> {
  signal?.throwIfAborted();
  // the one that waits ends with us, so that nobody is seen waiting who is not there any more
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'flock', `--${mode}`, ...(wait ? [] : ['--nonblock']), '3'], {
    stdio: ['ignore', 'ignore', 'ignore', file.fd],
    signal,
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code === 0) return true;
  if (code === 1 && !wait) return false;
  throw new CoatError('lab-lock', `flock ended with ${code}`);
}
