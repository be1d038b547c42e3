import { closeSync, constants, openSync } from 'node:fs';
import { libc, type LibC } from '../../driver/kernel/libc.ts';
import { receive } from '../../driver/kernel/receive.ts';

/** sys/socket.h, sys/un.h: the same on x64 and arm64. */
const [AF_UNIX, SOCK_STREAM, SOCK_CLOEXEC, SOL_SOCKET, SCM_RIGHTS, MSG_CMSG_CLOEXEC] = [1, 1, 0o2000000, 1, 1, 0x40000000];

/** Where a restore looks for who brings its memory, in its working directory, and what it says when all its processes are there (criu/uffd.c). */
const SOCKET = 'lazy-pages.socket';
const FINISHED = 0x52535446;

/**
 * - a process, as the container counts, and what its memory is filled through
 * - `finished`: from here on the processes run
 * - `ended`: CRIU has ended without that
 */
export type Handed = { pid: number; fd: number } | 'finished' | 'ended';

/**
 * Takes the processes of a restore in, in place of `criu lazy-pages` (criu/uffd.c, prepare_uffds): CRIU says the number of each process
 * (int, negative for one that is only waited for), then, with one byte, a descriptor of userfaultfd(2); in the end that it has finished.
 */
export class Handover {
  readonly #c: LibC;
  #fd: number;
  #connected = false;

  private constructor(c: LibC, fd: number) {
    this.#c = c;
    this.#fd = fd;
  }

  /** @param directory the restore's working directory, for this process */
  static async listen(directory: string): Promise<Handover> {
    const c = await libc();
    const fd = c.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const handover = new Handover(c, fd);
    // a path may be longer than an address has room for
    const place = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      const path = `/proc/self/fd/${place}/${SOCKET}\0`;
      const address = Buffer.alloc(2 + path.length);
      address.writeUInt16LE(AF_UNIX);
      address.write(path, 2);
      if (fd < 0 || c.bind(fd, address, address.length) !== 0 || c.listen(fd, 1) !== 0) throw new Error(`CRIU cannot be listened to: error ${c.errno()}`);
    } catch (error) {
      handover.close();
      throw error;
    } finally {
      closeSync(place);
    }
    return handover;
  }

  /** What is to be waited for. */
  get fd(): number {
    return this.#fd;
  }

  /** To be called when there is something. @returns nothing where that was the beginning, or of a process without memory */
  take(): Handed | undefined {
    if (!this.#connected) return this.#accept();
    const { data } = this.#receive(4);
    if (data.length < 4) return 'ended';
    const said = data.readInt32LE();
    if (said === FINISHED) return 'finished';
    // one that is only waited for
    if (said < 0) return undefined;
    const { fd } = this.#receive(1);
    if (fd === undefined) return 'ended';
    return { pid: said, fd };
  }

  close(): void {
    if (this.#fd >= 0) this.#c.close(this.#fd);
    this.#fd = -1;
  }

  #accept(): undefined {
    const connection = this.#c.accept(this.#fd, null, null, SOCK_CLOEXEC);
    if (connection < 0) throw new Error(`CRIU cannot be heard: error ${this.#c.errno()}`);
    this.close();
    this.#fd = connection;
    this.#connected = true;
  }

  /** Waits, where need be: what belongs together is said at once. */
  #receive(length: number): { data: Buffer; fd: number | undefined } {
    const room = { data: Buffer.alloc(length), control: Buffer.alloc(32) };
    const { length: count, beside } = receive(this.#c, this.#fd, room, MSG_CMSG_CLOEXEC);
    return { data: room.data.subarray(0, Math.max(0, count)), fd: beside.get(`${SOL_SOCKET} ${SCM_RIGHTS}`)?.readInt32LE() };
  }
}
