import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { run } from '../../driver/host/run.ts';
import { CoatError } from '../../driver/host/errors.ts';
import type { HostSide } from './host.ts';

/**
 * Named pipes between the agent and programs on the host, in a directory there: `events` towards the agent, a line each, and
 * others from it.
 *
 * Each is held open for reading and writing, so that no side ever blocks on opening one, what is written before the
 * other side reads is kept, and the death of this process ends every read of the other side.
 */
export class Pipes<Name extends string> {
  readonly #fds: Record<Name | 'events', number>;
  readonly #socket: Socket;
  readonly #seen = new Map<string, string>();
  readonly #waiting = new Set<{ event: string; tell: (words: string) => void }>();

  private constructor(fds: Record<Name | 'events', number>) {
    this.#fds = fds;
    this.#socket = new Socket({ fd: fds.events, readable: true, writable: false });
    createInterface({ input: this.#socket }).on('line', (line) => this.#heard(line));
  }

  /** @param directory on the host */
  static async make<Name extends string>(host: HostSide, directory: string, names: readonly Name[]): Promise<Pipes<Name>> {
    await run(['mkfifo', '-m', '600', ...['events', ...names].map((name) => host.path(`${directory}/${name}`))]);
    return Pipes.open(host, directory, names);
  }

  /** Those that an earlier life of this agent made. @throws Error `ENOENT` */
  static open<Name extends string>(host: HostSide, directory: string, names: readonly Name[]): Pipes<Name> {
    const open = (name: string): [string, number] => [name, openSync(host.path(`${directory}/${name}`), constants.O_RDWR | constants.O_NONBLOCK)];
    return new Pipes(Object.fromEntries(['events', ...names].map(open)) as Record<Name | 'events', number>);
  }

  /**
   * What was said after `event` (`create` → the bundle, `restored` → the exit code), now or later.
   *
   * @param ends rejects earlier than the time is up, for instance because the other side has given up
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

  tell(name: Name, words: string): void {
    writeSync(this.#fds[name], `${words}\n`);
  }

  close(): void {
    this.#socket.destroy();
    for (const [name, fd] of Object.entries<number>(this.#fds)) if (name !== 'events') closeSync(fd);
  }

  #heard(line: string): void {
    const [event = '', ...words] = line.split(' ');
    this.#seen.set(event, words.join(' '));
    for (const waiter of this.#waiting) if (waiter.event === event) waiter.tell(words.join(' '));
  }
}
