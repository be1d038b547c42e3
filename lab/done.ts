type Results<T extends readonly unknown[]> = { -readonly [K in keyof T]: Awaited<T[K]> };

/**
 * As `Promise.all`, but it settles only when all have: what still goes on after a failure would make
 * things behind the back of whoever cleans up.
 *
 * @throws what the first of them, in their order, threw
 */
export async function allDone<const T extends readonly unknown[]>(tasks: T): Promise<Results<T>> {
  const failed = (await Promise.allSettled(tasks)).find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return Promise.all(tasks);
}
