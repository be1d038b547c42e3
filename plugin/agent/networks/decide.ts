import type { Network } from '../../../driver/overlay/records.ts';
import type { EngineNetwork } from '../../engine/networks.ts';

/** Everything the decision rests on. Keys are those of the records. */
export interface View {
  engine: readonly EngineNetwork[];
  /** By the engine's ids: which network each of its networks was made for, by the number in the record. A record may since have been deleted, and its subnet be another network's. */
  numbers: ReadonlyMap<string, number>;
  records: ReadonlyMap<string, Network>;
  /** Networks in which some host holds an address. */
  inUse: ReadonlySet<string>;
  /**
   * The records of the networks this engine had when it was last looked at. It is what tells "removed
   * here" from "not yet created here".
   */
  seen: ReadonlyMap<string, Network>;
}

export type Step =
  /** Put the engine's name into the record. */
  | { do: 'name'; key: string; name: string }
  | { do: 'create'; key: string }
  | { do: 'remove'; key: string; id: string }
  /** Made here while another host made one of the same name, and later: it goes, with its record, and the other one comes. */
  | { do: 'give-way'; key: string; id: string }
  | { do: 'delete-record'; key: string }
  /** The record was deleted while somebody still has an address there: put it back. */
  | { do: 'restore-record'; key: string }
  /** Nothing can be done; said once. */
  | { do: 'complain'; key: string; about: string };

/** The engine's networks of our driver, by the key of their record. */
export function byKey(engine: readonly EngineNetwork[]): Map<string, EngineNetwork> {
  const found = new Map<string, EngineNetwork>();
  for (const network of engine) if (network.ours && network.subnet !== undefined) found.set(network.subnet.replace('/', '-'), network);
  return found;
}

/**
 * What brings this engine and the cluster's records together. Depends on nothing but the present and
 * what was last seen here, so it may run at any time and any number of times.
 *
 * A network belongs to all hosts: who creates it on one host creates it on all, and so for removing,
 * unless a container somewhere still has an address in it.
 */
export function decide(view: View): Step[] {
  const here = byKey(view.engine);
  const keys = new Set([...here.keys(), ...view.records.keys(), ...view.seen.keys()]);
  return [...keys].sort().flatMap((key) => decideOne(key, here.get(key), view) ?? []);
}

function decideOne(key: string, here: EngineNetwork | undefined, { engine, numbers, records, inUse, seen }: View): Step | undefined {
  const record = records.get(key);
  if (record === undefined) {
    if (here === undefined || !seen.has(key)) {
      // one we do not know may be in the middle of its creation; a record is written before the network is there
      return undefined;
    }
    return inUse.has(key) ? { do: 'restore-record', key } : { do: 'remove', key, id: here.id };
  }
  if (here !== undefined) {
    const number = numbers.get(here.id);
    // another one has the subnet since this one was removed elsewhere
    if (number !== undefined && record.number !== undefined && number !== record.number) return { do: 'remove', key, id: here.id };
    const older = [...records.values()].find((other) => other.name === here.name && isOlder(other, record));
    if (older !== undefined) {
      if (!inUse.has(key)) return { do: 'give-way', key, id: here.id };
      return { do: 'complain', key, about: `there are two networks called ${here.name}, ${key} and ${older.key}, and both are in use` };
    }
    if (record.name === undefined) return { do: 'name', key, name: here.name };
    if (record.name !== here.name) return { do: 'complain', key, about: `${key} is called ${here.name} on this host and ${record.name} elsewhere` };
    return undefined;
  }
  if (seen.has(key) && !inUse.has(key)) return { do: 'delete-record', key };
  // without a name it is still being created on another host
  if (record.name === undefined) return undefined;
  const other = engine.find(({ name }) => name === record.name);
  if (other !== undefined) return { do: 'complain', key, about: `this host has another network called ${record.name}, so ${key} is not created here` };
  return { do: 'create', key };
}

/** Which of two networks was made first. Records of an earlier version have no number, and are older than all that have. */
function isOlder(one: Network, other: Network): boolean {
  const [a, b] = [one.number ?? 0, other.number ?? 0];
  return a === b ? one.key < other.key : a < b;
}

/** What each step leaves on this engine when it has succeeded. */
const LEAVES: Record<Step['do'], boolean> = {
  name: true,
  create: true,
  'restore-record': true,
  remove: false,
  'give-way': false,
  'delete-record': false,
  complain: false,
};

/**
 * What has been seen after the steps: the networks that are here and in the records. A step that
 * failed leaves what was seen as it was, so that the next run decides the same again.
 */
export function remember({ engine, records, seen }: View, steps: readonly Step[], done: ReadonlySet<Step>): Map<string, Network> {
  const here = byKey(engine);
  const after = new Map([...records].filter(([key]) => here.has(key)));
  for (const step of steps) {
    const before = seen.get(step.key);
    const record = records.get(step.key) ?? before;
    const there = done.has(step) ? LEAVES[step.do] : before !== undefined;
    if (there && record !== undefined) after.set(step.key, record);
    else after.delete(step.key);
  }
  return after;
}
