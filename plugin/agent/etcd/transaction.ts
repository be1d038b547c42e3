import { z } from 'zod';
import { ConflictError } from '../../../driver/store/store.ts';
import type { Member } from '../membership.ts';
import { type Change, forbidden, type Known, type Wanted, type Writer } from '../rights/change.ts';
import { alsoRead } from '../rights/rights.ts';
import type { EtcdClient } from './client.ts';
import { PREFIX, rangeOf } from './messages.ts';

const TXN = '/v3/kv/txn';
/** How often a change is looked at anew that came to nothing since what it rests on has changed. */
const TRIES = 8;
/** One transaction of coat has two. */
const MOST = 8;

/** Decides whether something may be written; see rights/rights.ts. */
export type Judge = (writer: Writer, changes: readonly Change[], known: Known) => Wanted;

const encode = (text: string): string => Buffer.from(text).toString('base64');
const decode = (base64: string): string => Buffer.from(base64, 'base64').toString();

/** Of one record: under our prefix, in characters that mean the same to everybody. Without the prefix then. */
const Key = z.string().transform(decode).refine((key) => key.startsWith(PREFIX) && /^[\x21-\x7e]{1,250}$/.test(key), 'a key that is not of coat').transform((key) => key.slice(PREFIX.length));
const Value = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(decode(text)) as unknown;
  } catch {
    context.addIssue('a record that is no JSON');
    return z.NEVER;
  }
});

/** What a host may ask etcd to write: records that are as it has seen them become what it says, all or none. */
export const Transaction = z.strictObject({
  compare: z.array(z.strictObject({ key: Key, target: z.literal('MOD'), result: z.literal('EQUAL'), mod_revision: z.string().regex(/^\d{1,19}$/) })).max(MOST),
  success: z.array(z.union([
    z.strictObject({ request_put: z.strictObject({ key: Key, value: Value }) }),
    z.strictObject({ request_delete_range: z.strictObject({ key: Key }) }),
  ])).min(1).max(MOST),
});
export type Transaction = z.infer<typeof Transaction>;

const KeyValue = z.object({ key: z.string().transform(decode), value: z.string().default('').transform((text) => JSON.parse(decode(text)) as unknown), mod_revision: z.string(), create_revision: z.string() });
type KeyValue = z.infer<typeof KeyValue>;
const Header = z.looseObject({ revision: z.string() });
const Found = z.object({ header: Header, responses: z.array(z.object({ response_range: z.object({ kvs: z.array(KeyValue).default([]) }) })).default([]) });
const Done = z.looseObject({ header: Header, succeeded: z.boolean().default(false) });

/** Records as they were at one revision of the store, or some of them later; and which of them were looked at. */
class Seen implements Known {
  readonly now = Date.now();
  readonly records = new Map<string, KeyValue | undefined>();
  readonly prefixes = new Map<string, { revision: string; values: ReadonlyMap<string, unknown> }>();
  readonly #used = new Set<string>();

  get(key: string): unknown {
    this.#used.add(key);
    return this.records.get(key)?.value;
  }

  under(prefix: string): ReadonlyMap<string, unknown> | undefined {
    return this.prefixes.get(prefix)?.values;
  }

  /** That all of it is as it was. */
  compares(): unknown[] {
    const single = [...this.#used].map((key) => ({ key: encode(PREFIX + key), target: 'MOD', result: 'EQUAL', mod_revision: this.records.get(key)?.mod_revision ?? '0' }));
    // holds for each record of the range; one that was deleted since forbids nothing
    const ranges = [...this.prefixes].map(([prefix, { revision }]) => ({ ...rangeOf(prefix), target: 'MOD', result: 'LESS', mod_revision: String(BigInt(revision) + 1n) }));
    return [...single, ...ranges];
  }
}

/**
 * Writes what a host asks for, if it may.
 *
 * What is decided rests on the records that are read first; and that they still are as they were is a condition of the
 * transaction itself. Where it fails for that reason all is looked at anew, so nobody notices who has not asked for it himself.
 *
 * @returns etcd's answer, or one that says that the host's own conditions do not hold
 * @throws CoatError `not-yours`, and what stands in the way of asking etcd
 */
export async function transact(etcd: Pick<EtcdClient, 'post'>, member: Member, asked: Transaction, judge: Judge): Promise<unknown> {
  const written = asked.success.map((op) => ('request_put' in op ? { key: op.request_put.key, after: op.request_put.value } : { key: op.request_delete_range.key, after: undefined }));
  const own = `hosts/${member.name}`;
  const keys = [...new Set([own, ...asked.compare.map(({ key }) => key), ...written.flatMap(({ key }) => [key, ...alsoRead(key)])])];
  for (let tries = 1; ; tries += 1) {
    const seen = new Seen();
    const { header, found } = await read(etcd, keys);
    keys.forEach((key, i) => seen.records.set(key, found[i]));
    const failed = { header, succeeded: false };
    if (asked.compare.some(({ key, mod_revision }) => BigInt(mod_revision) !== BigInt(seen.records.get(key)?.mod_revision ?? '0'))) return failed;
    const present = checkPresent(member, seen.records.get(own));
    const changes = written.map(({ key, after }) => ({ key, before: seen.get(key), after }));
    try {
      await decide(etcd, () => judge(member, changes, seen), seen);
    } catch (error) {
      if (error instanceof ConflictError) return failed;
      throw error;
    }
    const answer = Done.parse(await etcd.post(TXN, { compare: [...present, ...seen.compares()], success: written.map(({ key, after }) => operation(key, after)) }));
    if (answer.succeeded || tries === TRIES) return answer;
  }
}

/** Who has joined may write as long as its record is there, and is the one it had when it connected. */
function checkPresent({ name, key }: Member, record: KeyValue | undefined): unknown[] {
  if (key === undefined) return [];
  if (record === undefined || (record.value as { key?: unknown }).key !== key) throw forbidden(`host ${name} is not of this cluster any more`);
  return [{ key: encode(`${PREFIX}hosts/${name}`), target: 'CREATE', result: 'EQUAL', create_revision: record.create_revision }];
}

/** Reads what the decision asks for, until it asks for no more. */
async function decide(etcd: Pick<EtcdClient, 'post'>, judge: () => Wanted, seen: Seen): Promise<void> {
  for (let wanted = judge(); wanted.length > 0; wanted = judge()) {
    for (const prefix of wanted) {
      const { header, found } = await list(etcd, prefix);
      seen.prefixes.set(prefix, { revision: header.revision, values: new Map(found.map(({ key, value }) => [key.slice(PREFIX.length), value])) });
    }
  }
}

async function read(etcd: Pick<EtcdClient, 'post'>, keys: readonly string[]): Promise<{ header: z.infer<typeof Header>; found: (KeyValue | undefined)[] }> {
  const success = keys.map((key) => ({ request_range: { key: encode(PREFIX + key) } }));
  const { header, responses } = Found.parse(await etcd.post(TXN, { compare: [], success }));
  return { header, found: responses.map(({ response_range: { kvs } }) => kvs[0]) };
}

async function list(etcd: Pick<EtcdClient, 'post'>, prefix: string): Promise<{ header: z.infer<typeof Header>; found: KeyValue[] }> {
  const { header, responses } = Found.parse(await etcd.post(TXN, { compare: [], success: [{ request_range: rangeOf(prefix) }] }));
  return { header, found: responses.flatMap(({ response_range: { kvs } }) => kvs) };
}

/** Written anew from what was understood, so that etcd and all who read it cannot understand it otherwise. */
function operation(key: string, after: unknown): unknown {
  return after === undefined ? { request_delete_range: { key: encode(PREFIX + key) } } : { request_put: { key: encode(PREFIX + key), value: encode(JSON.stringify(after)) } };
}
