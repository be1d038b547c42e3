import type { HostSide } from './host.ts';
import { Pipes } from './pipes.ts';

const PIPES = ['orders', 'pid', 'go', 'done'] as const;

/** The agent's end of coat-runc, see plugin/runtime/coat-runc, and of the CRIU that it starts. */
export class Door {
  readonly #pipes: Pipes<(typeof PIPES)[number]>;

  private constructor(pipes: Pipes<(typeof PIPES)[number]>) {
    this.#pipes = pipes;
  }

  static async make(host: HostSide, directory: string): Promise<Door> {
    return new Door(await Pipes.make(host, directory, PIPES));
  }

  /** The pipes that an earlier life of this agent made. @throws Error `ENOENT` */
  static open(host: HostSide, directory: string): Door {
    return new Door(Pipes.open(host, directory, PIPES));
  }

  /** See {@link Pipes.heard}. */
  heard(event: string, timeoutMs: number, ends?: Promise<never>): Promise<string> {
    return this.#pipes.heard(event, timeoutMs, ends);
  }

  order(words: string): void {
    this.#pipes.tell('orders', words);
  }

  /** Lets CRIU, which has restored everything, let it run. */
  go(): void {
    this.#pipes.tell('go', 'go');
  }

  /** Whatever waits in the door gives up: `create` fails, or CRIU is told not to go on. */
  abort(why: string): void {
    this.order(`abort ${why.replace(/[^\w .,:'-]/g, ' ')}`);
    this.#pipes.tell('pid', 'none');
    this.#pipes.tell('go', 'abort');
  }

  close(): void {
    this.#pipes.close();
  }
}
