/** Like Promise.all, but nothing is still under way when it throws: what comes next takes these things back. */
export async function allOf(work: Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(work);
  await Promise.all(work);
}
