import type { RequestListener } from 'node:http';

/**
 * A handler that may be asked before it exists: requests wait until it is given. dockerd disables a
 * plugin whose socket is not open soon, and starts containers as soon as it is.
 */
export class PendingHandler {
  readonly #handler: Promise<RequestListener>;
  #give!: (handler: RequestListener) => void;

  constructor() {
    this.#handler = new Promise((resolve) => (this.#give = resolve));
  }

  /** Answers all that waits, and everything from now on. Only the first one counts. */
  give(handler: RequestListener): void {
    this.#give(handler);
  }

  readonly listener: RequestListener = (request, response) => {
    void this.#handler.then((handler) => handler(request, response));
  };
}
