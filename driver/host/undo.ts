/**
 * A stack of things to take back. Add an entry right after (or, for a step that can half-succeed,
 * right before) the effect it reverses; unless {@link Undo.commit} was called, leaving the scope
 * runs them newest first, and goes on when one of them fails.
 *
 *     await using undo = new Undo(onError);
 *     await addLink(); undo.add('link', () => removeLink());
 *     undo.commit();
 */
export class Undo implements AsyncDisposable {
  readonly #steps: { what: string; run: () => unknown }[] = [];
  readonly #failed: (what: string, error: unknown) => void;

  /** @param failed told of each entry that could not be undone; the others still run */
  constructor(failed: (what: string, error: unknown) => void) {
    this.#failed = failed;
  }

  add(what: string, run: () => unknown): void {
    this.#steps.push({ what, run });
  }

  /** Forgets everything: what was done stays. */
  commit(): void {
    this.#steps.length = 0;
  }

  /** Takes everything back now, newest first. */
  async rollback(): Promise<void> {
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step.run();
      } catch (error) {
        this.#failed(step.what, error);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rollback();
  }
}
