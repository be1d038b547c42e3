import { z } from 'zod';
import { explain } from '../host/errors.ts';
import type { Log } from '../host/log.ts';
import { mayRelease } from '../overlay/claims.ts';
import { Claim, claimPath } from '../overlay/records.ts';
import { changeRecord } from '../store/change.ts';
import type { LocalRecords } from '../store/local.ts';
import { StoreAwayError, type Store } from '../store/store.ts';
import type { Replica } from '../store/replica.ts';
import type { LocalState } from '../network/local.ts';

/** An address that Docker gave back while the store was away. */
export const Pending = z.object({ id: z.string(), key: z.string(), ip: z.string(), /** Of the claim, if known: a later one is not ours to free. */ epoch: z.number().optional() });
export type Pending = z.infer<typeof Pending>;

interface Parts {
  host: string;
  store: Store;
  replica: Replica;
  local: LocalState;
  pending: LocalRecords<Pending>;
  log: Log;
}

/** It is a file's name too, in which a colon may not be. */
const idOf = (key: string, ip: string): string => `${key}_${ip.replaceAll(':', '-')}`;

/** Gives addresses back to the cluster: at once, or when the store is there again. */
export class Releases {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async release(key: string, ip: string): Promise<void> {
    const { replica, pending } = this.#parts;
    const epoch = replica.claims.get(`${key}/${ip}`)?.epoch;
    try {
      await this.#free(key, ip, epoch);
    } catch (error) {
      if (!(error instanceof StoreAwayError)) throw error;
      await pending.set({ id: idOf(key, ip), key, ip, ...(epoch === undefined ? {} : { epoch }) });
    }
  }

  /** Whether the address was given back, and the store does not know it yet. */
  has(key: string, ip: string): boolean {
    return this.#parts.pending.get(idOf(key, ip)) !== undefined;
  }

  /** The address is in use again on this host. */
  async cancel(key: string, ip: string): Promise<void> {
    if (this.has(key, ip)) await this.#parts.pending.delete(idOf(key, ip));
  }

  /** Does what could not be done while the store was away. */
  async resume(): Promise<void> {
    const { pending, log } = this.#parts;
    for (const { id, key, ip, epoch } of pending.values()) {
      try {
        await this.#free(key, ip, epoch);
        await pending.delete(id);
      } catch (error) {
        log.debug({ reason: explain(error), ip }, 'an address cannot be given back yet');
        return;
      }
    }
  }

  async #free(key: string, ip: string, epoch: number | undefined): Promise<void> {
    const { host, local } = this.#parts;
    // Docker deletes an endpoint before it gives its address back: one that is here is a later one
    if (local.endpointAt(key, ip) ?? local.arrivalAt(key, ip)) return;
    await changeRecord(this.#parts, claimPath(key, ip), (value) => Claim.parse(value), (claim) =>
      claim && mayRelease(claim, host) && (epoch === undefined || claim.epoch === epoch) ? 'delete' : undefined,
    );
  }
}
