import { z } from 'zod';
import type { Change, Entry, Expected, Write } from '../../../driver/store/store.ts';

/** Everything of COAT is under this, so that an etcd can be shared; the 1 is the records' version. */
export const PREFIX = '/coat/v1/';

const encode = (text: string): string => Buffer.from(text).toString('base64');
const decode = (base64: string): string => Buffer.from(base64, 'base64').toString();
const keyOf = (key: string): string => encode(PREFIX + key);

const Int = z.string().transform(Number);
const Header = z.object({ revision: Int.default(0) });
const KeyValue = z.object({ key: z.string(), value: z.string().default(''), mod_revision: Int });

export const RangeAnswer = z.object({ header: Header, kvs: z.array(KeyValue).default([]) });
export const TxnAnswer = z.object({ header: Header, succeeded: z.boolean().default(false) });

/** A line of a watch; the gateway wraps what it streams in `result`, and failures in `error`. */
export const WatchLine = z.object({
  result: z
    .object({
      header: Header,
      created: z.boolean().default(false),
      canceled: z.boolean().default(false),
      cancel_reason: z.string().default(''),
      compact_revision: Int.default(0),
      events: z.array(z.object({ type: z.enum(['PUT', 'DELETE']).default('PUT'), kv: KeyValue })).default([]),
    })
    .optional(),
  error: z.object({ message: z.string() }).optional(),
});
export type WatchLine = z.infer<typeof WatchLine>;

/**
 * The half-open range of all keys that begin with `prefix`: up to the prefix with its last byte
 * increased. Keys are ASCII here, so that byte is never 0xff.
 */
export function rangeOf(prefix: string): { key: string; range_end: string } {
  const bytes = Buffer.from(PREFIX + prefix);
  const end = Buffer.from(bytes);
  end[end.length - 1]! += 1;
  return { key: bytes.toString('base64'), range_end: end.toString('base64') };
}

export const getRequest = (key: string): unknown => ({ key: keyOf(key) });

export const putRequest = (writes: readonly Write[]): unknown => ({
  compare: writes.flatMap(({ key, expected }) => compare(key, expected)),
  success: writes.map(({ key, value }) => ({ request_put: { key: keyOf(key), value: encode(JSON.stringify(value)) } })),
});

export const deleteRequest = (key: string, expected: number | 'any'): unknown => ({
  compare: compare(key, expected),
  success: [{ request_delete_range: { key: keyOf(key) } }],
});

/** `progress_notify`: an empty line now and then, so that a quiet watch, too, knows a recent revision to go on from. */
export const watchRequest = (prefix: string, from: number): unknown => ({
  create_request: { ...rangeOf(prefix), start_revision: String(from), progress_notify: true },
});

/** A record that is not there has the revision 0 in etcd. */
function compare(key: string, expected: Expected): unknown[] {
  if (expected === 'any') return [];
  return [{ key: keyOf(key), target: 'MOD', result: 'EQUAL', mod_revision: String(expected === 'absent' ? 0 : expected) }];
}

export function entryOf(kv: z.infer<typeof KeyValue>): Entry {
  return { key: decode(kv.key).slice(PREFIX.length), value: JSON.parse(decode(kv.value)) as unknown, revision: kv.mod_revision };
}

/** The changes of one line, one batch per revision: etcd may send several revisions at once when it catches up. */
export function batchesOf(result: NonNullable<WatchLine['result']>): { revision: number; changes: Change[] }[] {
  const batches: { revision: number; changes: Change[] }[] = [];
  for (const { type, kv } of result.events) {
    const change = type === 'PUT' ? entryOf(kv) : { key: decode(kv.key).slice(PREFIX.length), value: undefined, revision: kv.mod_revision };
    const last = batches.at(-1);
    if (last?.revision === kv.mod_revision) last.changes.push(change);
    else batches.push({ revision: kv.mod_revision, changes: [change] });
  }
  return batches;
}
