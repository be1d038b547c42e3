import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';

/** What may be an operation's id, also one that another host says. */
const ID = /^[0-9A-Za-z-]{1,64}$/;

const current = new AsyncLocalStorage<{ id: string }>();

/**
 * Does something as one operation: whatever is logged meanwhile has its id, as `op`, on each host that takes part. One is
 * a call of Docker, a request of the command, or a move.
 *
 * @param id of the operation that this is a part of; a new one where there is none, or it cannot be one
 */
export function operate<T>(work: () => T, id?: string): T {
  return current.run({ id: id !== undefined && ID.test(id) ? id : randomBytes(6).toString('hex') }, work);
}

/** The id of the operation under way. */
export const operation = (): string | undefined => current.getStore()?.id;

/** From now on the operation under way has this id, where there is one. */
export function renameOperation(id: string): void {
  const operation = current.getStore();
  if (operation !== undefined) operation.id = id;
}
