import type { Founder } from '../cluster/enter.ts';
import type { Entered, NewToken, StoreHosts } from '../api.ts';

/** What the local API does about the cluster. */
export interface ClusterDoors {
  init(wanted: Founder): Promise<Entered>;
  join(wanted: { token: string; name: string; address?: string | undefined }): Promise<Entered>;
  /** @param ttl ms */
  token(ttl: number): Promise<NewToken>;
  leave(force: boolean): Promise<void>;
  remove(host: string, force: boolean): Promise<void>;
  promote(host: string): Promise<StoreHosts>;
  demote(host: string): Promise<StoreHosts>;
}
