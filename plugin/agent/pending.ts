import type { RequestListener } from 'node:http';

/**
 * A handler that may be asked before it exists: requests wait until it is given. dockerd disables a
 * plugin whose socket is not open soon, and starts containers as soon as it is. It may be replaced later.
 */
export class PendingHandler {
  #handler: Promise<RequestListener>;
  #give!: (handler: RequestListener) => void;

  constructor() {
    this.#handler = new Promise((resolve) => (this.#give = resolve));
  }

  /** Answers all that waits, and everything from now on until another is given. */
  give(handler: RequestListener): void {
    this.#give(handler);
    this.#handler = Promise.resolve(handler);
  }

  readonly listener: RequestListener = (request, response) => {
    void this.#handler.then((handler) => handler(request, response));
  };
}
