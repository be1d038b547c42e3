import { constants, closeSync, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { run } from '../../driver/host/run.ts';
import { CoatError } from '../../driver/host/errors.ts';
import type { HostSide } from './host.ts';

const PIPES = ['events', 'orders', 'pid', 'go', 'done'] as const;

/**
 * The agent's end of coat-runc: five named pipes in a directory of the host, see plugin/runtime/coat-runc.
 *
 * Each is held open for reading and writing, so that no side ever blocks on opening one, what is written before the
 * other side reads is kept, and the death of this process ends every read of the door.
 */
export class Door {
  readonly #fds: Record<(typeof PIPES)[number], number>;
  readonly #socket: Socket;
  readonly #seen = new Map<string, string>();
  readonly #waiting = new Set<{ event: string; tell: (words: string) => void }>();

  private constructor(fds: Record<(typeof PIPES)[number], number>) {
    this.#fds = fds;
    this.#socket = new Socket({ fd: fds.events, readable: true, writable: false });
    createInterface({ input: this.#socket }).on('line', (line) => this.#heard(line));
  }

  static async make(host: HostSide, directory: string): Promise<Door> {
    await run(['mkfifo', '-m', '600', ...PIPES.map((name) => host.path(`${directory}/${name}`))]);
    return Door.open(host, directory);
  }

  /** The pipes that an earlier life of this agent made. @throws Error `ENOENT` */
  static open(host: HostSide, directory: string): Door {
    const open = (name: string): number => openSync(host.path(`${directory}/${name}`), constants.O_RDWR | constants.O_NONBLOCK);
    return new Door({ events: open('events'), orders: open('orders'), pid: open('pid'), go: open('go'), done: open('done') });
  }

  /**
   * What the door said after `event` (`create` → the bundle, `restored` → the exit code), now or later.
   *
   * @param ends rejects earlier than the time is up, for instance because the engine has given up
   * @throws CoatError `timeout`
   */
  async heard(event: string, timeoutMs: number, ends?: Promise<never>): Promise<string> {
    const seen = this.#seen.get(event);
    if (seen !== undefined) return seen;
    let timer: NodeJS.Timeout | undefined;
    const waiter = { event, tell: (_words: string): void => undefined };
    const answer = new Promise<string>((resolve, reject) => {
      waiter.tell = resolve;
      this.#waiting.add(waiter);
      timer = setTimeout(() => reject(new CoatError('timeout', `the runtime did not say "${event}" within ${timeoutMs} ms`)), timeoutMs);
    });
    try {
      return await (ends ? Promise.race([answer, ends]) : answer);
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(waiter);
    }
  }

  order(words: string): void {
    writeSync(this.#fds.orders, `${words}\n`);
  }

  /** Whatever waits in the door gives up: `create` fails, or CRIU is told not to go on. */
  abort(why: string): void {
    this.order(`abort ${why.replace(/[^\w .,:'-]/g, ' ')}`);
    writeSync(this.#fds.pid, 'none\n');
    writeSync(this.#fds.go, 'abort\n');
  }

  close(): void {
    this.#socket.destroy();
    for (const name of PIPES) if (name !== 'events') closeSync(this.#fds[name]);
  }

  #heard(line: string): void {
    const [event = '', ...words] = line.split(' ');
    this.#seen.set(event, words.join(' '));
    for (const waiter of this.#waiting) if (waiter.event === event) waiter.tell(words.join(' '));
  }
}
