import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { ConflictError, type Store } from '../../../driver/store/store.ts';

const KEY = 'cluster';
const Cluster = z.object({ id: z.string() });

/**
 * The id of the cluster, made by whoever comes first. When the store has been made anew, the id is
 * another one, and what was known of the old cluster must not lead to anything being deleted.
 *
 * @throws StoreAwayError
 */
export async function clusterId(store: Store): Promise<string> {
  const found = await store.get(KEY);
  if (found !== undefined) return Cluster.parse(found.value).id;
  const id = randomUUID();
  try {
    await store.put(KEY, { id }, 'absent');
    return id;
  } catch (error) {
    if (error instanceof ConflictError) return clusterId(store);
    throw error;
  }
}
