/**
 * Runs tasks one at a time, in the order they came.
 *
 * INVARIANT: at most one task of a queue is between its start and its settling.
 */
export class Queue {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(task: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(task, task);
    this.#last = mine.catch(() => undefined);
    return mine;
  }
}

/** One {@link Queue} per key; a key nobody waits for costs nothing. */
export class KeyedQueue {
  readonly #queues = new Map<string, { queue: Queue; waiting: number }>();

  async run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const entry = this.#queues.get(key) ?? { queue: new Queue(), waiting: 0 };
    this.#queues.set(key, entry);
    entry.waiting += 1;
    try {
      return await entry.queue.run(task);
    } finally {
      entry.waiting -= 1;
      if (entry.waiting === 0) this.#queues.delete(key);
    }
  }
}
