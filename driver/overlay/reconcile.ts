import { CoatError, explain } from '../host/errors.ts';
import type { Log } from '../host/log.ts';
import { Queue } from '../host/queue.ts';
import { apply, observe } from '../kernel/apply.ts';
import { announce } from '../kernel/announce.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { enableForwarding } from '../kernel/forwarding.ts';
import { Ports } from '../kernel/ports.ts';
import { Rules } from '../kernel/rules.ts';
import { portRules } from '../publish/rules.ts';
import { diff, reached, type Operation } from './diff.ts';
import { settle, within, type Before, type Part } from './part.ts';
import type { Plan, Self } from './plan.ts';
import type { Claim } from './records.ts';
import { NO_RULES, ruleset } from './rules.ts';
import type { Port, State } from './state.ts';
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

/** What a pass has to deal with besides comparing everything. */
interface Task {
  /** Whether to look at the kernel first. */
  look: boolean;
  /** The claims that have changed, if nothing else has. */
  before: Map<string, Claim | undefined> | 'all';
  /** Ports that somebody has made since the kernel was looked at. */
  made: Port[];
  done: Promise<void>;
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
  /**
   * The same where nothing but these claims has changed, and the kernel need not be looked at. It costs what they cost, however many others there are.
   *
   * @throws CoatError `kernel`
   */
  changed(before: Before): Promise<void>;
  /** The same for an endpoint whose port has just been made. @param before its claim. @throws CoatError `kernel` */
  made(port: Port, before: Before): Promise<void>;
  /** Resolves when the kernel reflects all records up to a revision. @throws CoatError `timeout` */
  settled(revision: number, timeout: number): Promise<void>;
  /** Looks whether anybody else changed our things, and puts them right. */
  audit(): Promise<void>;
  /** How many things audits had to put right. */
  readonly repaired: number;
  /** What is there stays and goes on forwarding; a host without a network keeps nothing. */
  stop(): Promise<void>;
}

export interface ReconcilerOptions {
  kernel: Kernel;
  hostRoot: string;
  self: Self;
  wanted: () => Wanted;
  /** What is wanted for some claims; see part.ts. */
  partOf: (before: Before) => (Part & { revision: number }) | undefined;
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
export function createReconciler({ kernel, hostRoot, self, wanted, partOf, log, passed }: ReconcilerOptions): Reconciler {
  const queue = new Queue();
  const rules = new Rules(kernel);
  const ports = new Ports(kernel, hostRoot);
  const successors = new Successors();
  const waiting = new Set<() => void>();
  let believed: State | undefined;
  let revision = -1;
  let repaired = 0;
  let failures = 0;
  let stopped = false;
  let retry: NodeJS.Timeout | undefined;
  let coming: Task | undefined;
  const forwarding = { 4: false, 6: false };
  let idle = false;

  async function measured(work: () => Promise<void>): Promise<void> {
    const started = performance.now();
    const tell = (ok: boolean): void => passed?.(performance.now() - started, ok);
    await work().then(() => tell(true), (error: unknown) => {
      tell(false);
      throw error;
    });
  }

  /** One without a list of all there is, and without a plan of all there should be. @returns whether it was possible */
  async function partial({ look, before, made }: Task): Promise<boolean> {
    if (look || before === 'all' || !believed) return false;
    const found = partOf(before);
    if (!found) return false;
    const have = within(believed, found);
    for (const port of made) if (!have.ports.has(port.name)) have.ports.set(port.name, port);
    const operations = diff(found.plan.state, have, found.plan.untouched);
    // with a network that comes or goes, so do all of its entries
    if (operations.some(({ do: what }) => what === 'bridge' || what === 'vxlan' || what === 'unlink')) return false;
    try {
      await apply(kernel, operations, hostRoot);
    } catch (error) {
      log.debug({ reason: explain(error) }, 'a change of the kernel failed, looking at all of it');
      believed = undefined;
      return false;
    }
    settle(believed, have, found);
    await finish(found.plan, operations, found.revision, false);
    return true;
  }

  /** @param tell called before anything is changed */
  async function pass(look: boolean, lookAtRules = false, tell?: () => void): Promise<void> {
    if (look) believed = undefined;
    for (let round = 1; ; round += 1) {
      believed ??= await observe(kernel);
      const { plan, revision: planned } = wanted();
      const operations = diff(plan.state, believed, plan.untouched);
      const after = reached(plan.state, believed);
      if (round === 1 && operations.length > 0) tell?.();
      try {
        await apply(kernel, operations, hostRoot);
        believed = after;
        await finish(plan, operations, planned, lookAtRules);
        return;
      } catch (error) {
        believed = undefined;
        if (round === ROUNDS) throw new CoatError('kernel', 'the kernel refused a change of the network', { cause: error });
        log.debug({ reason: explain(error), round }, 'a change of the kernel failed, looking again');
      }
    }
  }

  async function finish({ networks, published, underlay }: Plan, operations: readonly Operation[], planned: number, look: boolean): Promise<void> {
    for (const neighbour of successors.among(operations)) void announce(kernel, neighbour).catch((error: unknown) => log.warn({ reason: explain(error), ip: neighbour.ip }, 'containers here are not told of a new MAC'));
    idle = networks.length === 0;
    const open = networks.filter(({ internal }) => !internal);
    for (const [family, wanted] of [[4, open.length > 0], [6, open.some(hasIpv6)]] as const) {
      if (wanted && !forwarding[family]) await enableForwarding(kernel, hostRoot, family);
      forwarding[family] = wanted;
    }
    const why = await rules.ensure(ruleset(networks, { port: self.vxlanPort, hosts: underlay }) + portRules(published, self), { 4: networks.length > 0, 6: networks.some(hasIpv6) }, look);
    for (const sentence of why) log.warn({ why: sentence }, 'repaired a rule');
    repaired += why.length;
    const made = new Set(operations.flatMap((operation) => (operation.do === 'bridge' && !operation.have ? [operation.want.name] : [])));
    await ports.ensure(published.mappings, networks, self.address, made).catch((error: unknown) => log.warn({ reason: explain(error) }, 'connections to published ports may be remembered for too long'));
    revision = planned;
    failures = 0;
    for (const wake of waiting) wake();
  }

  /** The pass that comes next, for everybody who wants one before it begins. */
  function next(): Task {
    if (coming) return coming;
    const mine: Task = { look: false, before: new Map(), made: [], done: Promise.resolve() };
    coming = mine;
    mine.done = queue.run(async () => {
      coming = undefined;
      await measured(async () => {
        if (await partial(mine)) return;
        for (const port of mine.made) believed?.ports.set(port.name, believed.ports.get(port.name) ?? port);
        await pass(mine.look);
      });
    });
    mine.done.catch((error: unknown) => later(error));
    return mine;
  }

  function now(look: boolean): Promise<void> {
    const task = next();
    task.look ||= look;
    task.before = 'all';
    return task.done;
  }

  function changed(before: Before): Promise<void> {
    const task = next();
    // what a claim was when the kernel was last made to follow it
    if (task.before !== 'all') for (const [key, claim] of before) if (!task.before.has(key)) task.before.set(key, claim);
    return task.done;
  }

  function made(port: Port, before: Before): Promise<void> {
    next().made.push(port);
    return changed(before);
  }

  function later(error: unknown): void {
    log.error({ reason: explain(error) }, 'reconcile failed');
    if (stopped) return;
    clearTimeout(retry);
    const delay = Math.min(RETRY_MS * 2 ** failures++, LONGEST_RETRY_MS);
    retry = setTimeout(() => void now(true).catch(() => undefined), delay).unref();
  }

  async function audit(): Promise<void> {
    await queue.run(() => measured(async () => {
      const before = believed;
      const found = await observe(kernel);
      believed = found;
      await pass(false, true, () => {
        const foreign = before ? tampered(before, found) : [];
        for (const { why } of foreign) log.warn({ why }, 'repaired');
        repaired += foreign.length;
      });
    })).catch(later);
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

  async function stop(): Promise<void> {
    stopped = true;
    clearTimeout(retry);
    await queue.run(async () => {
      if (idle) await rules.ensure(NO_RULES, { 4: false, 6: false }, false).catch((error: unknown) => log.warn({ reason: explain(error) }, 'rules of coat are left'));
    });
  }
  return { now, changed, made, settled, audit, stop, get repaired() { return repaired; } };
}

const hasIpv6 = ({ subnet6 }: Plan['networks'][number]): boolean => subnet6 !== undefined;

/** What somebody else did to our things since we left them. Ports come and go with containers. */
function tampered(left: State, found: State): Operation[] {
  return diff(reached(left, found), found, new Set(found.ports.keys()));
}
