import { z } from 'zod';
import { CoatError, codeOf } from '../../driver/host/errors.ts';
import { addressesOf, Claim, claimPath } from '../../driver/overlay/records.ts';
import { changeStored } from '../../driver/store/change.ts';
import type { Store } from '../../driver/store/store.ts';
import type { MoverDependencies } from './ports.ts';

/** Where an endpoint is found: its network, and its addresses there. */
export const Address = z.object({ network: z.string(), ip: z.string(), ip6: z.string().optional() });
export type Address = z.infer<typeof Address>;

/** Of all that is known of an endpoint. */
export const addressOf = ({ network, ip, ip6 }: Address): Address => ({ network, ip, ...(ip6 === undefined ? {} : { ip6 }) });

/**
 * Changes the claims of an endpoint: that of its IPv4 address, which says where its frames go, and that of its IPv6 address,
 * which goes with it.
 *
 * @param edit the new claim, or `undefined` to leave it as it is
 * @returns the store's revision that shows the change
 * @throws CoatError `no-claim`
 */
export async function changeClaim(store: Store, address: Address, edit: (claim: Claim) => Claim | undefined): Promise<number> {
  const revisions = await Promise.all(addressesOf(address).map(async (ip) => {
    const { revision } = await changeStored(store, claimPath(address.network, ip), (value) => Claim.parse(value), (claim) => {
      if (!claim) throw new CoatError('no-claim', `no host claims ${ip}`, { hint: 'has the container left the network meanwhile?' });
      return edit(claim);
    });
    return revision!;
  }));
  return Math.max(...revisions);
}

/** The four changes a move makes to a claim. Each is idempotent. */
export const announce = (to: string) => (claim: Claim): Claim => ({ ...claim, movingTo: to });

export const redirect = (to: string) => (claim: Claim): Claim => ({ ...claim, redirect: to });

/** Undoes announce and redirect, unless the claim has gone over. */
export const withdraw =
  (from: string) =>
  (claim: Claim): Claim | undefined => {
    if (claim.host !== from) return undefined;
    const { redirect: _redirect, movingTo: _movingTo, ...rest } = claim;
    return rest;
  };

/** Takes the announcement of a move back, whatever has become of the container meanwhile: nothing to say of an address that is nobody's any more. */
export async function keepHere({ store, overlay, self }: Pick<MoverDependencies, 'store' | 'overlay' | 'self'>, address: Address): Promise<void> {
  await changeClaim(store, address, withdraw(self)).catch((error: unknown) => {
    if (codeOf(error) !== 'no-claim') throw error;
  });
  for (const ip of addressesOf(address)) await overlay.giveBack(address.network, ip);
}

/** The destination takes the address over: a higher epoch wins over whatever the source still says. */
export const takeOver =
  (to: string) =>
  (claim: Claim): Claim | undefined => {
    if (claim.host === to && !claim.redirect && !claim.movingTo) return undefined;
    const { redirect: _redirect, movingTo: _movingTo, ...rest } = claim;
    return { ...rest, host: to, epoch: claim.host === to ? claim.epoch : claim.epoch + 1 };
  };
