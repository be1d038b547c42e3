import { CoatError } from '../host/errors.ts';
import type { Claim } from './records.ts';

/** Who `host` has to ask, or not, before it uses an address. All pure; ipam/ and network/ act on it. */

/** Whether a host may plumb an endpoint at this address: it owns it, or a container is on its way there. */
export const mayUse = (claim: Claim, host: string): boolean => claim.host === host || claim.movingTo === host;

/** Whether the container of an address is only announced on a host. What the engine starts there of itself would be a second one. */
export const comesLater = (claim: Claim | undefined, host: string): boolean => claim !== undefined && claim.host !== host && claim.movingTo === host && claim.redirect !== host;

/**
 * Whether an address goes back when Docker on `host` says it is done with it. The source of a move
 * says so late, when the address already is another host's or about to be, and so does a
 * destination whose move was given up.
 */
export const mayRelease = (claim: Claim, host: string): boolean =>
  claim.host === host && claim.movingTo === undefined && claim.redirect === undefined;

export const firstClaim = (network: string, ip: string, host: string): Claim => ({ network, ip, host, epoch: 1 });

/** The refusal of an address somebody else has. */
export function taken(claim: Claim): CoatError {
  if (claim.spare) {
    return new CoatError('address-taken', `the address ${claim.ip} is kept by host ${claim.host} for times without the store`, { hint: 'choose another --ip, not one of the last of the subnet' });
  }
  const who = claim.container ? ` by the container ${claim.container}` : '';
  return new CoatError('address-taken', `the address ${claim.ip} is in use${who} on host ${claim.host}`, { hint: 'choose another --ip, or remove that container' });
}
