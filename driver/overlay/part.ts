import { reached } from './diff.ts';
import { NOTHING_PUBLISHED } from '../publish/plan.ts';
import { plan, type Attachment, type Plan, type Records, type Self } from './plan.ts';
import { emptyState, type State } from './state.ts';
import type { Claim } from './records.ts';

/** Claims that have changed, by their keys: as they were, or `undefined` where there was none. */
export type Before = ReadonlyMap<string, Claim | undefined>;

/** The part of a plan that some claims are behind. */
export interface Part {
  /** All devices and ports of this host, and the entries of its own endpoints and of these claims; none for everybody. */
  plan: Plan;
  /** The same of the claims as they were before. */
  had: State;
}

/**
 * Plans for a few claims what {@link plan} would for all, so that a change costs what it changes and not what there is.
 *
 * @param published none of these claims has anything to do with it
 * @returns `undefined` where they cannot be looked at by themselves: another claim has a MAC that one of them had
 */
export function part(records: Records, attachments: readonly Attachment[], self: Self, before: Before, published = NOTHING_PUBLISHED): Part | undefined {
  const [now, then] = [new Map<string, Claim>(), new Map<string, Claim>()];
  const put = (to: Map<string, Claim>, key: string, claim: Claim | undefined): void => void (claim ? to.set(key, claim) : to.delete(key));
  for (const { network, ip } of attachments) for (const to of [now, then]) put(to, `${network.key}/${ip}`, records.claims.get(`${network.key}/${ip}`));
  for (const [key, claim] of before) {
    const current = records.claims.get(key);
    put(now, key, current);
    put(then, key, claim);
    if (claim?.mac !== undefined && claim.mac !== current?.mac && hasOther(records.claims, claim)) return undefined;
  }
  // whom frames for everybody go to is the hosts' matter and not the claims', and there may be hundreds
  const of = (claims: ReadonlyMap<string, Claim>): Plan => plan({ hosts: records.hosts, claims }, attachments, self, published, false);
  return { plan: of(now), had: of(then).state };
}

function hasOther(claims: ReadonlyMap<string, Claim>, { network, ip, mac }: Claim): boolean {
  for (const other of claims.values()) if (other.mac === mac && other.ip !== ip && other.network === network) return true;
  return false;
}

/** What of a state a part is about: all devices, and the entries that are in it or were. */
export function within(state: State, { plan: { state: want }, had }: Part): State {
  const found = { ...emptyState(), bridges: state.bridges, vxlans: state.vxlans, ports: state.ports };
  const take = <T>(from: Map<string, T>, to: Map<string, T>, ...keys: Map<string, T>[]): void => {
    for (const key of keys.flatMap((map) => [...map.keys()])) if (from.has(key)) to.set(key, from.get(key)!);
  };
  take(state.tunnels, found.tunnels, want.tunnels, had.tunnels);
  take(state.forwards, found.forwards, want.forwards, had.forwards);
  take(state.neighbours, found.neighbours, want.neighbours, had.neighbours);
  take(state.routes, found.routes, want.routes, had.routes);
  return found;
}

/** Puts into a state what became of a part of it. @param have that part as it was, see {@link within} */
export function settle(state: State, have: State, { plan: { state: want } }: Part): void {
  const after = reached(want, have);
  const put = <T>(to: Map<string, T>, old: Map<string, T>, fresh: Map<string, T>): void => {
    for (const key of [...old.keys()]) if (!fresh.has(key)) to.delete(key);
    for (const [key, value] of fresh) to.set(key, value);
  };
  put(state.bridges, have.bridges, after.bridges);
  put(state.vxlans, have.vxlans, after.vxlans);
  put(state.ports, have.ports, after.ports);
  put(state.tunnels, have.tunnels, after.tunnels);
  put(state.forwards, have.forwards, after.forwards);
  put(state.neighbours, have.neighbours, after.neighbours);
  put(state.routes, have.routes, after.routes);
}
