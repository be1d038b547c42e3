import { explain } from '../../driver/host/errors.ts';
import type { Claim } from '../../driver/overlay/records.ts';
import { type Address, changeClaim } from './claims.ts';
import type { MoverDependencies } from './ports.ts';

/** How long a host may take to program a redirect before the move goes on without it, ms. */
const SETTLE_MS = 2_000;

/**
 * Changes the claims of a container and waits until the kernels of this host and of `hosts` show it.
 *
 * @returns a sentence for each host that did not answer; it catches up from the store when it is back
 */
export async function redirectEverywhere(
  { store, overlay, peers }: Pick<MoverDependencies, 'store' | 'overlay' | 'peers'>,
  addresses: readonly Address[],
  edit: (claim: Claim) => Claim | undefined,
  hosts: readonly string[],
): Promise<string[]> {
  const revisions = await Promise.all(addresses.map((address) => changeClaim(store, address, edit)));
  const revision = Math.max(...revisions);
  const late = await Promise.all(
    hosts.map((name) =>
      peers
        .get(name)
        .call('/v1/settled', { revision }, { timeout: SETTLE_MS })
        .then(
          () => undefined,
          (error: unknown) => `${name} does not know yet where the container is: ${explain(error)}`,
        ),
    ),
  );
  await overlay.settled(revision, SETTLE_MS);
  return late.filter((warning) => warning !== undefined);
}
