import { CoatError, explain } from '../host/errors.ts';
import type { Log } from '../host/log.ts';
import { Queue } from '../host/queue.ts';
import { apply, observe } from '../kernel/apply.ts';
import { announce } from '../kernel/announce.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { enableForwarding } from '../kernel/forwarding.ts';
import { Rules } from '../kernel/rules.ts';
import { diff, reached, type Operation } from './diff.ts';
import type { Plan } from './plan.ts';
import { ruleset } from './rules.ts';
import type { State } from './state.ts';
import { Successors } from './successors.ts';

/** A pass that fails is repeated; after this many rounds the next audit has to try. */
const ROUNDS = 3;
/** After a pass that failed; each further failure doubles it. In ms. */
const RETRY_MS = 250;
const LONGEST_RETRY_MS = 5_000;

export interface Wanted {
  plan: Plan;
  /** Revision of the records the plan is made from. */
  revision: number;
}

export interface Reconciler {
  /**
   * Makes the kernel what the records say. Calls while a pass is waiting share it.
   *
   * @param look false: rely on what the kernel was left like by the last pass. Saves three programs
   *   on the way of a redirect; the audit finds what was wrong about it
   * @throws CoatError `kernel` when the kernel refused
   */
  now(look: boolean): Promise<void>;
  /** Resolves when the kernel reflects all records up to a revision. @throws CoatError `timeout` */
  settled(revision: number, timeout: number): Promise<void>;
  /** Looks whether anybody else changed our things, and puts them right. */
  audit(): Promise<void>;
  /** How many things audits had to put right. */
  readonly repaired: number;
  stop(): void;
}

export interface ReconcilerOptions {
  kernel: Kernel;
  hostRoot: string;
  wanted: () => Wanted;
  log: Log;
  /** Told of each pass: how long it took, ms, and whether it went well. */
  passed?: (ms: number, ok: boolean) => void;
}

/**
 * Level-triggered: every pass compares all there should be with all there is, so a missed event, a
 * crash or a restart is not a special case.
 *
 * INVARIANT: one pass at a time, and its plan is made after it looked at the kernel: whoever writes
 * a record before making an interface never sees that interface removed as unexplained.
 */
export function createReconciler({ kernel, hostRoot, wanted, log, passed }: ReconcilerOptions): Reconciler {
  const queue = new Queue();
  const rules = new Rules(kernel);
  const successors = new Successors();
  const waiting = new Set<() => void>();
  let believed: State | undefined;
  let revision = -1;
  let repaired = 0;
  let failures = 0;
  let stopped = false;
  let retry: NodeJS.Timeout | undefined;
  let coming: { look: boolean; done: Promise<void> } | undefined;
  const forwarding = { 4: false, 6: false };

  async function pass(look: boolean, lookAtRules = false): Promise<void> {
    const started = performance.now();
    const tell = (ok: boolean): void => passed?.(performance.now() - started, ok);
    await rounds(look, lookAtRules).then(() => tell(true), (error: unknown) => {
      tell(false);
      throw error;
    });
  }

  async function rounds(look: boolean, lookAtRules: boolean): Promise<void> {
    if (look) believed = undefined;
    for (let round = 1; ; round += 1) {
      believed ??= await observe(kernel);
      const { plan, revision: planned } = wanted();
      const operations = diff(plan.state, believed, plan.untouched);
      const after = reached(plan.state, believed);
      try {
        await apply(kernel, operations, hostRoot);
        believed = after;
        for (const neighbour of successors.among(operations)) void announce(kernel, neighbour).catch((error: unknown) => log.warn({ reason: explain(error), ip: neighbour.ip }, 'containers here are not told of a new MAC'));
        await finish(plan, lookAtRules);
        revision = planned;
        failures = 0;
        for (const wake of waiting) wake();
        return;
      } catch (error) {
        believed = undefined;
        if (round === ROUNDS) throw new CoatError('kernel', 'the kernel refused a change of the network', { cause: error });
        log.debug({ reason: explain(error), round }, 'a change of the kernel failed, looking again');
      }
    }
  }

  async function finish({ networks }: Plan, look: boolean): Promise<void> {
    const open = networks.filter(({ internal }) => !internal);
    for (const [family, wanted] of [[4, open.length > 0], [6, open.some(hasIpv6)]] as const) {
      if (wanted && !forwarding[family]) await enableForwarding(kernel, hostRoot, family);
      forwarding[family] = wanted;
    }
    const why = await rules.ensure(ruleset(networks), { 4: networks.length > 0, 6: networks.some(hasIpv6) }, look);
    for (const sentence of why) log.warn({ why: sentence }, 'repaired a rule');
    repaired += why.length;
  }

  function now(look: boolean): Promise<void> {
    if (coming) {
      coming.look ||= look;
      return coming.done;
    }
    const mine = { look, done: Promise.resolve() };
    coming = mine;
    mine.done = queue.run(async () => {
      coming = undefined;
      await pass(mine.look);
    });
    mine.done.catch((error: unknown) => later(error));
    return mine.done;
  }

  function later(error: unknown): void {
    log.error({ reason: explain(error) }, 'reconcile failed');
    if (stopped) return;
    clearTimeout(retry);
    const delay = Math.min(RETRY_MS * 2 ** failures++, LONGEST_RETRY_MS);
    retry = setTimeout(() => void now(true).catch(() => undefined), delay).unref();
  }

  async function audit(): Promise<void> {
    await queue.run(async () => {
      const before = believed;
      believed = await observe(kernel);
      const changed = before ? tampered(before, believed) : [];
      for (const { why } of changed) log.warn({ why }, 'repaired');
      repaired += changed.length;
      await pass(false, true);
    }).catch(later);
  }

  async function settled(target: number, timeout: number): Promise<void> {
    if (revision >= target) return;
    await new Promise<void>((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer);
        waiting.delete(check);
        settle();
      };
      const check = (): void => void (revision >= target && end(resolve));
      const late = new CoatError('timeout', `the kernel does not reflect revision ${target} after ${timeout} ms: it is at ${revision}`);
      const timer = setTimeout(() => end(() => reject(late)), timeout);
      waiting.add(check);
    });
  }

  const stop = (): void => {
    stopped = true;
    clearTimeout(retry);
  };
  return { now, settled, audit, stop, get repaired() { return repaired; } };
}

const hasIpv6 = ({ subnet6 }: Plan['networks'][number]): boolean => subnet6 !== undefined;

/** What somebody else did to our things since we left them. Ports come and go with containers. */
function tampered(left: State, found: State): Operation[] {
  return diff(reached(left, found), found, new Set(found.ports.keys()));
}
