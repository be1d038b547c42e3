/** Node 20 has no AsyncDisposableStack. */
export class Undo {
  readonly #steps: (() => Promise<unknown>)[] = [];

  use<T extends AsyncDisposable>(value: T): T {
    this.defer(async () => value[Symbol.asyncDispose]());
    return value;
  }

  defer(step: () => Promise<unknown>): void {
    this.#steps.push(step);
  }

  async dispose(): Promise<void> {
    for (const step of this.#steps.splice(0).reverse()) await step();
  }
}
