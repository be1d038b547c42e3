import type { Log } from '../host/log.ts';
import { mayRelease } from '../overlay/claims.ts';
import { changeRecord } from '../store/change.ts';
import { Claim, claimPath } from '../overlay/records.ts';
import type { LocalState } from '../network/local.ts';
import type { Replica } from '../store/replica.ts';
import type { Store } from '../store/store.ts';

interface Parts {
  host: string;
  store: Store;
  replica: Replica;
  local: LocalState;
  log: Log;
}

/**
 * Gives back addresses that this host claims and has no endpoint for: Docker asked an earlier life of this agent for them, or
 * said that it was done with them, and never heard the answer. It repeats such a call without its body (moby pkg/plugins),
 * and does not come back to it.
 *
 * Docker may be between the lease and the endpoint just now; then CreateEndpoint claims the address anew.
 *
 * @param upTo a revision of the store; what was claimed later is not looked at
 */
export async function dropOrphans(parts: Parts, upTo: number): Promise<void> {
  const { host, replica, local, log } = parts;
  for (const { network, ip } of [...replica.claims.values()]) {
    const path = claimPath(network, ip);
    const isOrphan = (claim: Claim | undefined): boolean => claim !== undefined && !claim.spare && mayRelease(claim, host) && !local.endpointAt(network, ip) && !local.arrivalAt(network, ip);
    if ((replica.revisionOf(path) ?? Infinity) > upTo || !isOrphan(replica.claims.get(`${network}/${ip}`))) continue;
    await changeRecord(parts, path, (value) => Claim.parse(value), (claim) => (isOrphan(claim) ? 'delete' : undefined));
    log.info({ network, ip }, 'gave back an address that nobody on this host has');
  }
}
