import type { Log } from '../host/log.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Responders } from '../names/responders.ts';
import type { Holds } from '../publish/holds.ts';
import type { Publications } from '../publish/plan.ts';
import type { Reconciler } from '../overlay/reconcile.ts';
import type { Replica } from '../store/replica.ts';
import type { Store } from '../store/store.ts';
import type { LocalState } from './local.ts';
import type { Offers } from './offers.ts';

/** What every verb needs. */
export interface Room {
  /** This host's name. */
  host: string;
  /** The host's root directory as we see it, or '' when we are in it. */
  hostRoot: string;
  store: Store;
  replica: Replica;
  local: LocalState;
  offers: Offers;
  /** IPv6 subnets that were chosen for networks whose user named none, until the network is there. */
  chosen6: Set<string>;
  kernel: Kernel;
  reconciler: Reconciler;
  responders: Responders;
  holds: Holds;
  /** What this host publishes, by all records that there are now. */
  published: () => Publications;
  log: Log;
}
